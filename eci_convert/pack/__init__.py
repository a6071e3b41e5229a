"""An artifact becomes an image in a sink.
image.py            pack, pack_all: layers, configs, manifests, an index of several
blob_writer.py      one blob: hashed, compressed, sent, or found to be there
from_image.py       parts that lie in another image
from_pipe.py        parts that come through pipes
manifests.py        configs, manifests and indexes of a blueprint
preflight.py        whether a sink can hold an image
dry_run.py          a sink that stores nothing
tar_layer.py        the tar archive that a recipe becomes
once.py             what several parts share, made once
result.py           PushResult: what was written
"""
