"""An image in a transport, or files on this computer, become verified bytes and values.
Only this package calls `Source.fetch`, so nothing is read unverified.
blobs.py            open_blob, open_layer: blobs and tar layers, verified
images.py           load_root, load_image: manifests and configs
manifests.py        every manifest that stands for an image; its referrers
files.py            files of an image, out of its layers
layer_walk.py       its layers, from the top one down
member_range.py     which bytes of an uncompressed layer a file is
container_files.py  the same, where an engine has them unpacked
file_size.py        the size of one file of an image
resume.py           downloads that were interrupted, continued
local_parts.py      parts from files on this computer
local_disks.py      whether a disk can be packed, and as what type
local_content.py    their bytes and sizes
"""
