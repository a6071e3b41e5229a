"""Commands for stores.

attach.py   files that refer to an image
discover.py referrers of an image
list.py     the images in a store
tag.py      adds names to an image
delete.py   removes names, and unreferenced blobs
index.py    images of several platforms under one name
preload.py  writes images into a containers-storage tree
url.py      the URL of a part
"""
