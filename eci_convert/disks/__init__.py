"""What kind of disk image a file is, and which other files it needs. Pure: bytes in, values out.
boot_files.py       what a kernel or an initrd looks like, for warnings
detect.py           the type that the first and last bytes show
declared.py         a declared type against the bytes
references.py       backing files, external data, extents
integers.py         little- and big-endian integers in headers
vmdk.py             VMDK descriptors
vhdx.py             VHDX metadata
probe.py            ContentProbe: size, type and references of bytes that pass by
"""
