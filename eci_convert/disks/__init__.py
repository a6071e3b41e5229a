"""Disk images: type detection and external references. Pure functions of bytes.
detect.py           the type, from the first and last bytes
declared.py         compares the declared with the detected type
references.py       backing files, external data, extents
vmdk.py             VMDK descriptors
vhdx.py             VHDX metadata
probe.py            ContentProbe: size, type and references of a stream
"""
