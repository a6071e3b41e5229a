"""Compressed streams, read and written.
codec.py            Compression and Codec; compressed, decompressed; detect a compression from the first bytes
decoder.py          what the decoders have in common
gzip_read.py        gzip, on all cores where the stream allows it
zstd_read.py        zstd, frame by frame
libzstd.py          the zstd library, wherever this Python has it
xz_bzip2.py         xz and bzip2
write.py            gzip and zstd written, on all cores, with the same bytes whatever their number
parallel_decode.py  independent pieces of a stream decoded in parallel
lookahead.py        a byte stream that can be looked into before it is read
head.py             the first bytes of a stream's content, from its first bytes
crc32.py            the CRC-32 of joined pieces
"""
