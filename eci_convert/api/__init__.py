"""The public library, `import eci_convert`: functions and classes that convert arguments and call `operations`.

machine.py      Machine: the parts to be packed
image.py        Image: an open image, to be read
images.py       push, copy, extract, inspect, verify
stores.py       list_images, tag, delete, create_index, blob_url, attach
part_stream.py  a part as a readable file
options.py      Options: how transports are accessed
words.py        text arguments converted to values: platforms, formats, compressions, roles
"""
