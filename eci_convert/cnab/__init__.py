"""CNAB bundles in registries, as cnab-to-oci stores them: a bundle.json and its images in one repository.

documents.py       config blob, config manifest and index of a bundle: bytes alone, no I/O
bundle.py          the fields of a bundle.json                go_json.py  JSON as Go reads and writes it
canonical_json.py  RFC 8785
"""
