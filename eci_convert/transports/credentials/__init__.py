"""Credentials for registries, as stored by `docker login`, `podman login`, `oras login` or a CI step.
lookup.py        credential_for: the credential for a registry, from all files and helpers
config_files.py  config.json and auth.json
go_json.py       JSON as Go's encoding/json reads it
helpers.py       credential helpers"""
