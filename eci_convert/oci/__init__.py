"""Values of the Open Container Initiative's specifications. No I/O.

digest.py       Digest
json_fields.py  typed fields of JSON objects
media_types.py  media types
annotations.py  annotation keys
reference.py    references, parsed as by Docker
platform.py     platforms, compared as by containerd
descriptor.py   Descriptor
index.py        Index, and the selection of an entry for a platform; CNAB bundles
manifest.py     Manifest, parsed and rendered
image.py        ImageMetadata: manifest, config and platform together
diff_ids.py     the layers of diff ids, and wrong diff ids
referrers.py    manifests that refer to others
"""
