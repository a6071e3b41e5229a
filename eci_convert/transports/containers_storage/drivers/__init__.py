"""The layout of layers on disk.
base.py             StorageDriver: what a driver does
overlay.py          the overlay driver's directories and links
vfs.py              the vfs driver: each layer a full copy
whiteouts.py        deleted files, as a driver marks them
staging.py          layers being unpacked
copy_tree.py        directory trees copied and merged"""
