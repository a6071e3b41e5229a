"""The library as `import eci_convert` offers it: strings and values of Python in, operations called, results out.
machine.py      Machine: the parts to be packed
image.py        Image: an image that is open to be read
images.py       push, copy, extract, inspect, verify
part_stream.py  a part as a readable file
options.py      Options: how transports are spoken to
progress.py     PlainProgress, RichProgress
words.py        words of users as values: platforms, formats, compressions, roles
text.py         sizes and foreign text as people read them
"""
