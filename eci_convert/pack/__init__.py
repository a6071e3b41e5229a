"""Writes an artifact as an image into a sink.
image.py            pack, pack_all: layers, configs, manifests, an index of several
blob_writer.py      one blob: hashed, compressed, and sent unless it exists
from_image.py       parts in another image
from_pipe.py        parts that come through pipes
manifests.py        configs, manifests and indexes of a blueprint
preflight.py        whether a sink can hold an image
dry_run.py          a sink that stores nothing
tar_layer.py        the tar archive of a recipe
once.py             values shared by threads, computed once
result.py           PushResult: the result
"""
