"""Bytes in motion: every stage takes an Iterable[bytes] and is an Iterator[bytes].

    verify     what was promised, and not a byte more
    measure    how long and which digest, said once the bytes have gone by
    compress   gzip, zstd, xz and bzip2 undone; gzip and zstd made             gunzip segments inflate zstd abreast
                                                                               window deflate crc
    tar        archives read strictly, and written as Go writes them           tar_read tar_header tar_input pax sparse
                                                                               tar_write sparse_write
    holes      files with holes, read and written without their zeros          zeros
    files      files that appear when they are complete, or not at all         parts
    own_files  state and caches in the user's directories, which others cannot steer                    locks
    interrupts a request to stop, which loops and waits read; leftovers: what must not outlive the process
    epoch      the time that everything written has
    pipeline   stages that run at the same time                                belt

A stage holds a few blocks of about 1 MiB and never a whole blob. An empty chunk means nothing. Nothing here knows
what an image is.

blocks.py      blocks of one size; the first bytes of a stream
threads.py     stages that run in threads of their own
hashing.py     verified streams, and hashes of what passes
repeatable.py  streams that can be had again, streams with holes
interrupts.py  a request to stop, which loops and waits read
"""
