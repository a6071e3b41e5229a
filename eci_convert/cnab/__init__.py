"""CNAB bundles in registries, as cnab-to-oci stores them: a bundle.json and its images in one repository.

cnab/fixup.py      every image comes into the repository     images.py  found, in registries or the engine, and copied
push.py       config, index and tag, with fallbacks     cnab/platform_filter.py  fewer platforms of an index
pull.py       a bundle and its map come back            cnab/relocation.py       where each image is
cnab/registries.py which registry is spoken to how

documents.py  config blob, config manifest and index: bytes alone, no I/O
cnab/bundle.py     the fields of a bundle.json               go_json.py  JSON as Go reads and writes it
cnab/canonical_json.py  RFC 8785
"""
