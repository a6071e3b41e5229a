"""Blobs received from a registry.
download.py         one blob, resumed after a lost connection
parallel_ranges.py  a large blob over several connections
blob_endpoint.py    where a blob is served, redirects followed"""
