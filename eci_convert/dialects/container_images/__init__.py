"""Formats whose parts are files in the root filesystem of a container image.
command_line.py     a kernel command line as one string and as arguments
containerdisk.py    KubeVirt's containerDisk
unikraft.py         KraftKit's packages"""
