"""Who we are at a registry: what `docker login`, `podman login`, `oras login` or a CI step stored.
lookup.py        credential_for: the credential for a registry, from whatever place has it
config_files.py  config.json and auth.json
go_json.py       JSON as Go's encoding/json reads it
helpers.py       credential helpers"""
