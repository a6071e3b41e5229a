"""Compression and decompression of streams.
codec.py            Compression and Codec; compressed, decompressed; detection by the first bytes
decoder.py          code shared by all decoders
gzip_read.py        gzip, on all cores if the stream allows it
zstd_read.py        zstd, frame by frame
libzstd.py          the zstd module of this Python: compression.zstd or backports.zstd
xz_bzip2.py         xz and bzip2
write.py            gzip and zstd compression on all cores, with the same bytes whatever their number
parallel_decode.py  independent pieces of a stream decoded in parallel
lookahead.py        a byte stream with lookahead
head.py             decompresses the first bytes of a truncated stream
crc32.py            the CRC-32 of concatenated data
"""
