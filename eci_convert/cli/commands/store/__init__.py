"""Commands for stores.

attach.py   files that refer to an image
discover.py what refers to an image
list.py     what a place holds
tag.py      more names for an image
delete.py   names removed, and what nothing refers to
index.py    images of several platforms under one name
preload.py  images into a containers-storage tree
url.py      the URL of a part
"""
