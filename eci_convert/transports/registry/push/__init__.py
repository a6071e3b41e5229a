"""Blobs sent to a registry.
upload.py           one blob: mounted, resumed or sent
chunked.py          an upload in chunks
session.py          an upload session (distribution-spec, POST, PATCH, PUT)
buffer.py           the bytes that may have to be sent again
upload_log.py       unfinished uploads, remembered for the next run
mounts.py           blobs mounted from other repositories"""
