"""Streams of bytes: every stage takes an Iterable[bytes] and is an Iterator[bytes].

A stage buffers a few blocks of about 1 MiB and never a whole blob. Empty chunks are ignored. Nothing here depends on
images.

blocks.py      blocks of one size; the first bytes of a stream
threads.py     stages that run in threads of their own
hashing.py     size and digest of a stream; verified streams
repeatable.py  whether streams can be read again; streams with known holes
interrupts.py  a request to stop, which loops and waits check
"""
