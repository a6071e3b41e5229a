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

>>> from eci_convert import Role; from eci_convert import artifact_from_parts
>>> [part.name for part in artifact_from_parts(kernel=b"kernel", initrd=b"initrd").parts if part.role is Role.KERNEL]
['kernel']
"""

from __future__ import annotations

from eci_convert._version import __version__

TYPE_CHECKING = False
"""`typing.TYPE_CHECKING`, without the import: until this module is there, the program cannot handle a signal."""

if TYPE_CHECKING:
    from typing import Any

    from eci_convert.compression.codec import Codec as Codec
    from eci_convert.dialects.blueprint import WriteOptions as WriteOptions
    from eci_convert.errors import AccessDeniedError as AccessDeniedError
    from eci_convert.errors import EciError as EciError
    from eci_convert.errors import FormatError as FormatError
    from eci_convert.errors import IntegrityError as IntegrityError
    from eci_convert.errors import LocalError as LocalError
    from eci_convert.errors import NotFoundError as NotFoundError
    from eci_convert.errors import TransportError as TransportError
    from eci_convert.errors import UnsupportedImageError as UnsupportedImageError
    from eci_convert.errors import UsageError as UsageError
    from eci_convert.model import Artifact as Artifact
    from eci_convert.model import DiskType as DiskType
    from eci_convert.model import KnownBlob as KnownBlob
    from eci_convert.model import Part as Part
    from eci_convert.model import Role as Role
    from eci_convert.oci.digest import Digest as Digest
    from eci_convert.oci.platform import Platform as Platform
    from eci_convert.operations.copy import copy as copy
    from eci_convert.operations.extract import ExtractResult as ExtractResult
    from eci_convert.operations.extract import extract as extract
    from eci_convert.operations.extract_request import ExtractRequest as ExtractRequest
    from eci_convert.operations.inspect import Inspection as Inspection
    from eci_convert.operations.inspect import inspect as inspect
    from eci_convert.operations.push import push as push
    from eci_convert.operations.verify import verify_image as verify_image
    from eci_convert.oras_compat.registry import Registry as Registry
    from eci_convert.pack.result import PushResult as PushResult
    from eci_convert.progress import Reporter as Reporter
    from eci_convert.reading.images import load_image as load_image
    from eci_convert.reading.local_parts import Disk as Disk
    from eci_convert.reading.local_parts import artifact_from_parts as artifact_from_parts
    from eci_convert.transports import open_sink as open_sink
    from eci_convert.transports import open_source as open_source
    from eci_convert.transports.base import Sink as Sink
    from eci_convert.transports.base import Source as Source
    from eci_convert.transports.settings import Settings as Settings


_HOMES = {
    "compression.codec": ("Codec",),
    "dialects.blueprint": ("WriteOptions",),
    "errors": (
        "AccessDeniedError",
        "EciError",
        "FormatError",
        "IntegrityError",
        "LocalError",
        "NotFoundError",
        "TransportError",
        "UnsupportedImageError",
        "UsageError",
    ),
    "model": (
        "Artifact",
        "DiskType",
        "KnownBlob",
        "Part",
        "Role",
    ),
    "oci.digest": ("Digest",),
    "oci.platform": ("Platform",),
    "operations.copy": ("copy",),
    "operations.extract": (
        "ExtractResult",
        "extract",
    ),
    "operations.extract_request": ("ExtractRequest",),
    "operations.inspect": (
        "Inspection",
        "inspect",
    ),
    "operations.push": ("push",),
    "operations.verify": ("verify_image",),
    "oras_compat.registry": ("Registry",),
    "pack.result": ("PushResult",),
    "progress": ("Reporter",),
    "reading.images": ("load_image",),
    "reading.local_parts": (
        "Disk",
        "artifact_from_parts",
    ),
    "transports": (
        "open_sink",
        "open_source",
    ),
    "transports.base": (
        "Sink",
        "Source",
    ),
    "transports.settings": ("Settings",),
}

_HOME = {name: module for module, names in _HOMES.items() for name in names}


__all__ = ["__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'eci_convert' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"eci_convert.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
