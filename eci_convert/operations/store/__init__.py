"""What is done with the names in a store: indexes, and stores of several images.
list.py            what a place holds
tag.py             more names for an image
delete.py          names removed, and blobs that nothing refers to
ironcore_store.py  the store of onmetal-image and ironcore-image
ironcore_url.py    where their boot loaders get a layer
index.py           an index is made, gets images and loses them
images.py          the images that a name stands for
strategy.py        what becomes of an index that is there already
entries.py         what an index lists, and which of it is for the same platform
preload.py         images into a containers-storage tree
store_tar.py       that tree as a tar archive
layer_members.py   the members of a layer, as the tree holds them
merged_layers.py   the layers of several images, each once
url.py             where a file of an image in a registry is fetched from over HTTP
attach.py          files that refer to an image
discover.py        what refers to an image
"""
