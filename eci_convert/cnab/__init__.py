"""CNAB bundles in registries, as cnab-to-oci stores them: a bundle.json and its images in one repository.

fixup.py            copies every image of a bundle into its repository
images.py           finds the images of a bundle, in registries or the engine
push.py             writes config, index and tag, with fallbacks
pull.py             reads a bundle and its relocation map
registries.py       the connection options of each registry
platform_filter.py  an index with fewer platforms
relocation.py       relocation maps
documents.py        config blob, config manifest and index; no I/O
bundle.py           the fields of a bundle.json
go_json.py          JSON as Go reads and writes it
canonical_json.py   canonical JSON (RFC 8785)
"""
