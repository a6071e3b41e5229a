"""OCI image layouts, in a directory (`oci:`) and in a tar archive (`oci-archive:`).

directory.py        source and sink of `oci:`
archive.py          source and sink of `oci-archive:`
index.py            index.json, independent of storage
selector.py         PATH[:NAME][@DIGEST], and the image it refers to
blob_staging.py     blobs being written to a layout
catalog.py          lists, tags and deletes the images of a layout
index_entries.py    adds names to index.json and removes them
reachable.py        the blobs of an image, and those still referenced
pending.py          blobs of removed images that the next deletion collects
kraftkit.py         a KraftKit store, read as a layout
"""
