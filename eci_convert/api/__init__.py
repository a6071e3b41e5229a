"""The library as `import eci_convert` offers it: strings and values of Python in, operations called, results out.
machine.py      Machine: the parts to be packed
image.py        Image: an image that is open to be read
images.py       push, copy, extract, inspect, verify
stores.py       list_images, tag, delete, create_index, blob_url, attach
part_stream.py  a part as a readable file
options.py      Options: how transports are spoken to
words.py        words of users as values: platforms, formats, compressions, roles
"""
