"""What is known of a registry, in memory and on disk.
files.py            the state directory
host_facts.py       what a host accepts and refuses
blob_locations.py   which repositories were seen to hold a blob
chunk_size.py       the chunk size that a connection carries"""
