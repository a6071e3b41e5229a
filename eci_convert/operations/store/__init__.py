"""Operations on the names in a store, and on indexes.
list.py            the images in a store
tag.py             adds names to an image
delete.py          removes names, and unreferenced blobs
ironcore_store.py  the store of onmetal-image and ironcore-image
ironcore_url.py    the URL from which their boot loaders fetch a layer
index.py           creates an index, adds images to it and removes them
images.py          the images of a name
strategy.py        the strategy for an index that exists already
entries.py         entries of an index, compared by platform
preload.py         writes images into a containers-storage tree
store_tar.py       that tree as a tar archive
layer_members.py   the members of a layer as files of the tree
merged_layers.py   the layers of several images, each once
url.py             the HTTP URL of a part in a registry
attach.py          files that refer to an image
discover.py        referrers of an image
"""
