"""`eci_convert.Registry`, for users of oras-py: its interface over this package's verified client.
registry.py         Registry
responses.py        requests.Response objects as oras-py's callers expect them
files.py            files that are pulled and pushed
names.py            container names as oras-py parses them"""
