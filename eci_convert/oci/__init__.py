"""The vocabulary of the Open Container Initiative as values. No I/O happens here.

oci/digest.py      content addresses
oci/media_types.py   the media types of images, and what they say about a blob
oci/json_fields.py      JSON read strictly: every fault is located
oci/manifest.py    Descriptor, Platform, Manifest, Index, ImageConfig
oci/reference.py   names of images in registries, as Docker reads them
oci/platform.py      one image out of an index

digest.py       Digest
json_fields.py  typed fields of JSON documents
media_types.py  media types
annotations.py  annotation keys
reference.py    references as Docker reads them
platform.py     platforms, compared as containerd compares them
descriptor.py   Descriptor
index.py        Index, and which of its entries is the image for a platform; CNAB bundles
manifest.py     Manifest, parsed and rendered
image.py        Image: the small documents of an image together
diff_ids.py     which layers diff ids name, and which of them are wrong
referrers.py    which manifest refers to which
"""
