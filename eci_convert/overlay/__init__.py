"""The filesystem that a stack of layers makes, known from their headers alone. Pure: no bytes, no order of reading.

    tree      what one layer says: its entries, whiteouts and opaque directories as a tree of names
    layer     the tree of one layer, filled entry by entry
    stack     paths looked up in the layers known so far, the top one first
    graft     entries that a layer wrote through a symbolic link of a lower one
    work      how much of it a hostile image gets

image-spec v1.1.1, layer.md; where that is silent, umoci 0.4.7 is the judge (`umoci raw unpack`). Nothing is ever
created from a name in an image, so nothing can be written outside of anything: `..` stops at the image's root.
"""

from eci_convert.overlay.graft import grafted
from eci_convert.overlay.layer import Layer
from eci_convert.overlay.stack import Absent, Answer, Found, Stack, Unknown, View
from eci_convert.overlay.tree import Dir, File, Odd, parts
from eci_convert.overlay.work import Work

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
