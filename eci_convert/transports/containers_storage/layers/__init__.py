"""A layer's archive becomes files, and the files become the same archive again.
layer_import.py     a compressed layer into a staging directory
unpack.py           tar entries into files
attributes.py       owners, modes, times and extended attributes
tar_split.py        what tar-split keeps of an archive, so that it can be rebuilt
layer_archive.py    the archive rebuilt
crc64.py            the checksum that tar-split keeps"""
