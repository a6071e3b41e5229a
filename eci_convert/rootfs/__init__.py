"""What a stack of layers adds up to: the root filesystem, without unpacking it.
nodes.py            the nodes of a layer's tree
layer_tree.py       one layer as a tree
layer_stack.py      a path looked up in a stack of layers
symlink_writes.py   entries written through a symbolic link of a lower layer
limits.py           limits on the work that a hostile image can cause
search.py           files found while the layers stream by
consumer.py         who receives the files found
"""

from eci_convert.rootfs.layer_stack import Absent, Answer, Found, Stack, Unknown, View
from eci_convert.rootfs.layer_tree import Layer
from eci_convert.rootfs.limits import Work
from eci_convert.rootfs.nodes import Dir, File, Odd, parts
from eci_convert.rootfs.symlink_writes import grafted

__all__ = [
    "Absent",
    "Answer",
    "Dir",
    "File",
    "Found",
    "Layer",
    "Odd",
    "Stack",
    "Unknown",
    "View",
    "Work",
    "grafted",
    "parts",
]
