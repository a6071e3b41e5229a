"""Disk images: type detection and external references. Pure functions of bytes.
boot_files.py       detects kernels and initrds, for warnings
detect.py           the type, from the first and last bytes
declared.py         compares the declared with the detected type
references.py       backing files, external data, extents
integers.py         little- and big-endian integers in headers
vmdk.py             VMDK descriptors
vhdx.py             VHDX metadata
probe.py            ContentProbe: size, type and references of a stream
"""
