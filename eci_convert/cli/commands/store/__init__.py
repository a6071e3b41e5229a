"""Commands for stores.

attach.py   files that refer to an image
discover.py what refers to an image
index.py    images of several platforms under one name
preload.py  images into a containers-storage tree
url.py      the URL of a part
"""
