"""Facts about registries, in memory and on disk.
files.py            the state directory
host_facts.py       what a host accepts and refuses
blob_locations.py   repositories that were seen to hold a blob
chunk_size.py       the chunk size that a connection carries"""
