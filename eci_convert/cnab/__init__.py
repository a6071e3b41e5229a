"""CNAB bundles in registries, as cnab-to-oci stores them: a bundle.json and its images in one repository.

documents.py       config blob, config manifest and index of a bundle: bytes alone, no I/O
canonical_json.py  RFC 8785
"""
