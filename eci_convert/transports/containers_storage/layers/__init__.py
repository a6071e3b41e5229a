"""Layers unpacked into files, and archives rebuilt from the files.
layer_import.py     a compressed layer into a staging directory
unpack.py           tar entries into files
attributes.py       owners, modes, times and extended attributes
tar_split.py        tar-split data, from which archives are rebuilt
layer_archive.py    rebuilds the archive of a layer
crc64.py            the checksum used by tar-split"""
