"""Commands for stores.

index.py    images of several platforms under one name
preload.py  images into a containers-storage tree
url.py      the URL of a part
"""
