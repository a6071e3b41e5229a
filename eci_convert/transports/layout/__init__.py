"""OCI image layouts, in a directory (`oci:`) and in a tar archive (`oci-archive:`).
directory.py        source and sink of `oci:`
archive.py          source and sink of `oci-archive:`
index.py            index.json, whatever holds the files
selector.py         PATH[:NAME][@DIGEST], and which image that is
blob_staging.py     blobs on their way into a layout
catalog.py          all images of a layout: listed, named, deleted
index_entries.py    index.json with names added and removed
reachable.py        what an image owns, and what is still referred to
kraftkit.py         a store of KraftKit's, read as a layout"""
