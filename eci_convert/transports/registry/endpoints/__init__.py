"""Which servers an image is asked of, by the user's files.

rules.py            what those files say: mirrors, locations, blocked and insecure registries, aliases
registries_conf.py  containers-registries.conf(5), as podman reads it
daemon_json.py      Docker's registry-mirrors
short_names.py      what a short name stands for
choice.py           the rule for a reference, and the endpoints to try
"""
