"""The parts of a virtual machine (kernel, initrd, disks) into container images, and out of container images again.

    reading   reference ─ open_source ─▶ Source ─ resolve ─▶ descriptor ─ select(platform) ─▶ Image
              Image ─ dialects.read ─▶ Artifact = (role, where, name, disk type)*
              Source.fetch ─▶ verified ─▶ decompressed ─▶ tar entry ─▶ sparse file ─▶ rename

    writing   Artifact ─ dialect.write ─▶ Blueprint = recipes + config(written)
              file or blob ─▶ archived ─▶ measured ─▶ compressed ─▶ Sink.put ─▶ Written
              config(written) ─▶ Sink.put ─▶ manifest ─▶ Sink.put ─▶ publish

Where a thing lives; imports point downwards only (tests/architecture/test_imports.py):

     6  cli/                     words in, words and exit codes out
     5  eci_convert              this module: the public names, and nothing else
     4  parts publish takeout    files → parts; parts → an image; what of an image goes where
        extract rootfs overlay   image → files, one pass per blob, all or nothing
        pack convert verify      parts → image; image → image; is it what it claims to be?
        dockerfile dockerbuild   parts → Dockerfile; a Dockerfile built by an engine
        operations               names in a place: several images under one; what else is done to stores
        documents diffids sizes  what stands for an image and refers to it; diff ids and sizes that are wrong
        move cnab                an image as it is, blob by blob; bundles of images
        content journal weight   descriptor → believable bytes; how many there would be
     3  dialects/                how a machine is put into an image; pure
        transports/              where images live; I/O
     2  blueprint streams/       what a dialect wants written; bytes in motion
     1  model oci/ disktype      the values
     0  errors redaction

Every name below is imported when it is first used, so `import eci_convert` costs next to nothing.

>>> from eci_convert import Role; from eci_convert import machine
>>> [part.name for part in machine(kernel=b"kernel", initrd=b"initrd").parts if part.role is Role.KERNEL]
['kernel']
"""

from __future__ import annotations

from eci_convert._version import __version__

TYPE_CHECKING = False
"""`typing.TYPE_CHECKING`, without the import: until this module is there, the program cannot handle a signal."""

if TYPE_CHECKING:
    from typing import Any

    from eci_convert.compression.codec import Codec as Codec
    from eci_convert.dialects.blueprint import Packed as Packed
    from eci_convert.dialects.blueprint import Terms as Terms
    from eci_convert.errors import AccessDenied as AccessDenied
    from eci_convert.errors import EciError as EciError
    from eci_convert.errors import FormatError as FormatError
    from eci_convert.errors import IntegrityError as IntegrityError
    from eci_convert.errors import LayoutError as LayoutError
    from eci_convert.errors import LocalError as LocalError
    from eci_convert.errors import NotFound as NotFound
    from eci_convert.errors import TransportError as TransportError
    from eci_convert.errors import UsageError as UsageError
    from eci_convert.model import Artifact as Artifact
    from eci_convert.model import DiskType as DiskType
    from eci_convert.model import Known as Known
    from eci_convert.model import Part as Part
    from eci_convert.model import Role as Role
    from eci_convert.oci.digest import Digest as Digest
    from eci_convert.oci.manifest import Platform as Platform
    from eci_convert.operations.copy import copy as copy
    from eci_convert.operations.extract_request import Inspection as Inspection
    from eci_convert.operations.extract_request import Order as Order
    from eci_convert.operations.extract_request import Taken as Taken
    from eci_convert.operations.extract_request import inspect as inspect
    from eci_convert.operations.extract_request import take as take
    from eci_convert.operations.push import push as push
    from eci_convert.operations.verify import check as check
    from eci_convert.oras_compat.registry import Registry as Registry
    from eci_convert.progress import Reporter as Reporter
    from eci_convert.reading.blobs import image as image
    from eci_convert.reading.local_parts import Disk as Disk
    from eci_convert.reading.local_parts import machine as machine
    from eci_convert.transports import open_sink as open_sink
    from eci_convert.transports import open_source as open_source
    from eci_convert.transports.base import Settings as Settings
    from eci_convert.transports.base import Sink as Sink
    from eci_convert.transports.base import Source as Source


_HOMES = {
    "blueprint": ("Terms",),
    "content": ("image",),
    "convert": ("copy",),
    "errors": (
        "AccessDenied", "EciError", "FormatError", "IntegrityError", "LayoutError", "LocalError", "NotFound",
        "TransportError", "UsageError",
    ),
    "parts": ("Disk", "machine"),
    "model": ("Artifact", "DiskType", "Known", "Part", "Role"),
    "oci.digest": ("Digest",),
    "oci.manifest": ("Platform",),
    "pack": ("Packed",),
    "progress": ("Reporter",),
    "publish": ("push",),
    "streams.compress": ("Codec",),
    "takeout": ("Inspection", "Order", "Taken", "inspect", "take"),
    "transports": ("open_sink", "open_source"),
    "transports.base": ("Settings", "Sink", "Source"),
    "transports.oras_registry": ("Registry",),
    "verify": ("check",),
}  # fmt: skip

_HOME = {name: module for module, names in _HOMES.items() for name in names}


__all__ = ["__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'eci_convert' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"eci_convert.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
