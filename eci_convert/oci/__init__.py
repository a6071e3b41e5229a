"""The vocabulary of the Open Container Initiative as values. No I/O happens here.

digest.py      content addresses
mediatype.py   the media types of images, and what they say about a blob
fields.py      JSON read strictly: every fault is located
manifest.py    Descriptor, Platform, Manifest, Index, ImageConfig
reference.py   names of images in registries, as Docker reads them
select.py      one image out of an index
"""
