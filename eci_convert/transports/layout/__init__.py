"""OCI image layouts, in a directory (`oci:`) and in a tar archive (`oci-archive:`).
directory.py        source and sink of `oci:`
archive.py          source and sink of `oci-archive:`
index.py            index.json, independent of storage
selector.py         PATH[:NAME][@DIGEST], and the image it refers to
blob_staging.py     blobs being written to a layout"""
