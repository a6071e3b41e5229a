"""Files in the filesystem that a stack of layers makes, taken as the layers pass.

    search    which entry of which layer a path is, and taking it when it goes by
    layers    the layers of an image, read from the top one down until all is found
    walk      how they are read
    engine    the same for places that have the files unpacked (the Docker engine): no layer travels

A layer that was begun is read to its end and verified; lower ones are not read once all is found. What is found to have
gone by already, such as the target of a link, costs one more pass over that layer.
"""

from eci_convert.rootfs.consumer import Consumer, Settled
from eci_convert.rootfs.engine import from_engine
from eci_convert.rootfs.layers import files, in_archive, is_filesystem

__all__ = ["Consumer", "Settled", "files", "from_engine", "in_archive", "is_filesystem"]
