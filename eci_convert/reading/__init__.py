"""Verified reading of images in transports, and of local files.
Only this package calls `Source.fetch`, so nothing is read unverified.
blobs.py            open_blob, open_layer: blobs and tar layers, verified
images.py           load_root, load_image: manifests and configs
manifests.py        all manifests of an image; its referrers
open_image.py       an image by its reference; similar names if it is missing
files.py            files of an image, read from its layers
layer_walk.py       the layers, from the top one down
member_range.py     the byte range of a file in an uncompressed layer
container_files.py  files of an image that an engine keeps unpacked
file_size.py        the size of one file of an image
resume.py           interrupted downloads, resumed
local_parts.py      parts from local files
pipes.py            parts that come through pipes, checked; spooled where they must be
local_disks.py      checks whether a disk can be packed, and its type
local_content.py    content and sizes of local files
"""
