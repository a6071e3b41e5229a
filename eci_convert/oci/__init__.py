"""The vocabulary of the Open Container Initiative as values. No I/O happens here.

oci/digest.py      content addresses
oci/media_types.py   the media types of images, and what they say about a blob
oci/json_fields.py      JSON read strictly: every fault is located
oci/manifest.py    Descriptor, Platform, Manifest, Index, ImageConfig
oci/reference.py   names of images in registries, as Docker reads them
oci/platform.py      one image out of an index
"""
