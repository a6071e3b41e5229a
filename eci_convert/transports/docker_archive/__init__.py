"""`docker-archive:`, what docker save writes.
source.py           DockerArchiveSource
sink.py             DockerArchiveSink
manifest_json.py    the archive's manifest.json"""
