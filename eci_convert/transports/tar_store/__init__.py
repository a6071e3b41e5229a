"""A tar archive as storage.
reader.py           TarStore: the files in an archive, by name
writer.py           TarWriter: an archive written to a file or a pipe
stream_writer.py    StreamTarWriter: an archive written into an engine"""
