"""OCI image layouts, in a directory (`oci:`) and in a tar archive (`oci-archive:`).
directory.py        source and sink of `oci:`
archive.py          source and sink of `oci-archive:`
index.py            index.json, whatever holds the files
selector.py         PATH[:NAME][@DIGEST], and which image that is
blob_staging.py     blobs on their way into a layout"""
