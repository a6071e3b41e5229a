"""The servers from which an image is read, as configured in the user's and the system's files.

rules.py            values: mirrors, locations, blocked and insecure registries, aliases
registries_conf.py  containers-registries.conf(5), as podman reads it
daemon_json.py      Docker's registry-mirrors
short_names.py      short names, resolved
choice.py           the rule for a reference, and the endpoints to try
"""
