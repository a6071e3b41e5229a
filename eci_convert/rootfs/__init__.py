"""The root filesystem of a stack of layers, without unpacking it.
nodes.py            the nodes of a layer's tree
layer_tree.py       one layer as a tree
layer_stack.py      a path looked up in a stack of layers
symlink_writes.py   entries written through a symbolic link of a lower layer
limits.py           limits on memory and time for hostile images
search.py           files found while the layers stream by
consumer.py         FileConsumer: receives the files
listing.py          all files, by their names alone
path_pattern.py     patterns such as /boot/*, matched against paths
"""

from eci_convert.rootfs.layer_stack import Found, Lookup, MergedDirectory, Missing, Stack, Undecided
from eci_convert.rootfs.layer_tree import LayerTree
from eci_convert.rootfs.limits import Budget
from eci_convert.rootfs.nodes import Directory, FileNode, Special, components
from eci_convert.rootfs.symlink_writes import resolve_symlink_writes

__all__ = [
    "Budget",
    "Directory",
    "FileNode",
    "Found",
    "LayerTree",
    "Lookup",
    "MergedDirectory",
    "Missing",
    "Special",
    "Stack",
    "Undecided",
    "components",
    "resolve_symlink_writes",
]
