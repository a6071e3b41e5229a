"""Puts the parts of a virtual machine (kernel, initrd, disks) into container images, and takes them out again.

    push     Machine(kernel=…, root=…, disks=[…]) ─▶ an image, at any reference
    extract  an image ─▶ files, all or none        open_image  an image, to be read part by part
    copy     from one transport to another         verify      digests, sizes, diff ids, labels
    inspect  dialects, platforms, parts

>>> import eci_convert as ec
>>> machine = ec.Machine(kernel=b"kernel", root=ec.Disk(b"root", type="raw", name="root.img"))
>>> pushed = ec.push(machine, "oci:layout:mine", format="legacy", platform="linux/arm64")
>>> with ec.open_image("oci:layout:mine") as image:
...     print(image.dialects, [part.name for part in image.parts], image.read("/kernel"))
('eci-legacy', 'labels') ['kernel', 'disk-root-root.img'] b'kernel'
>>> [(part.name, part.size) for part in ec.extract(pushed.reference, "out").parts]
[('kernel', 6), ('disk-root-root.img', 4)]

A reference names its transport: docker://HOST/REPO:TAG, docker-daemon:NAME, containerd:NAME, oci:DIR[:NAME],
oci-archive:FILE, docker-archive:FILE, containers-storage:NAME. Every word may be a string: platforms, formats,
compressions, roles. Nothing prints, exits, logs a secret, or changes global state; what goes wrong is an `EciError`.

The packages, from top to bottom; a package imports only from those below it (tests/architecture/test_imports.py):

    cli/                            the command line: arguments, output, exit codes
    eci_convert                     this module: the public names
    api/ oras_compat/ cnab/         the Python API; a stand-in for oras-py's Registry; CNAB bundles
    testing/                        a registry with faults, for tests
    operations/                     one module for each user task: push, pull, copy, verify, …
    pack/ docker_build/             images made of parts; images built by a Docker engine
    reading/                        verified blobs and documents; local files
    transports/                     registries, engines, layouts, archives, stores
    disks/ rootfs/ dialects/        disk types; file systems made of layers; image formats (no I/O)
    compression/ tar/ files/        gzip, zstd, xz, bzip2; tar archives; the local file system
    streams/                        streams of bytes: blocks, threads, hashing
    model  oci/                     machines and their parts; OCI documents
    display/  tasks  options        progress on a terminal; progress of one task; options of operations
    progress  errors  library_terms  redaction    progress events; exceptions; hints for the library; masked secrets

Every name below is imported when it is first used, so `import eci_convert` costs next to nothing.
"""

from __future__ import annotations

from eci_convert._version import __version__ as __version__

TYPE_CHECKING = False  # as in `typing`, whose import takes longer than all of this
if TYPE_CHECKING:  # the one table of public names: type checkers read it as imports, __getattr__ as code
    from typing import Any

    from eci_convert.api.image import Image as Image
    from eci_convert.api.image import open_image as open_image
    from eci_convert.api.images import Output as Output
    from eci_convert.api.images import copy as copy
    from eci_convert.api.images import extract as extract
    from eci_convert.api.images import inspect as inspect
    from eci_convert.api.images import push as push
    from eci_convert.api.images import verify as verify
    from eci_convert.api.machine import Content as Content
    from eci_convert.api.machine import Machine as Machine
    from eci_convert.api.options import Options as Options
    from eci_convert.api.stores import attach as attach
    from eci_convert.api.stores import blob_url as blob_url
    from eci_convert.api.stores import create_index as create_index
    from eci_convert.api.stores import delete as delete
    from eci_convert.api.stores import list_images as list_images
    from eci_convert.api.stores import tag as tag
    from eci_convert.compression.codec import Codec as Codec
    from eci_convert.display.plain import PlainProgress as PlainProgress
    from eci_convert.display.rich import RichProgress as RichProgress
    from eci_convert.errors import AccessDeniedError as AccessDeniedError
    from eci_convert.errors import AmbiguousRoleError as AmbiguousRoleError
    from eci_convert.errors import CannotHoldError as CannotHoldError
    from eci_convert.errors import CorruptStreamError as CorruptStreamError
    from eci_convert.errors import DigestMismatchError as DigestMismatchError
    from eci_convert.errors import DiskTypeError as DiskTypeError
    from eci_convert.errors import EciError as EciError
    from eci_convert.errors import FormatError as FormatError
    from eci_convert.errors import IntegrityError as IntegrityError
    from eci_convert.errors import LimitExceededError as LimitExceededError
    from eci_convert.errors import LocalError as LocalError
    from eci_convert.errors import ManifestRefusedError as ManifestRefusedError
    from eci_convert.errors import MissingPartError as MissingPartError
    from eci_convert.errors import NotFoundError as NotFoundError
    from eci_convert.errors import SizeMismatchError as SizeMismatchError
    from eci_convert.errors import TransportError as TransportError
    from eci_convert.errors import UnknownDialectError as UnknownDialectError
    from eci_convert.errors import UnsupportedImageError as UnsupportedImageError
    from eci_convert.errors import UploadLostError as UploadLostError
    from eci_convert.errors import UsageError as UsageError
    from eci_convert.model import DiskType as DiskType
    from eci_convert.model import Part as Part
    from eci_convert.model import RemoteBlob as RemoteBlob
    from eci_convert.model import Role as Role
    from eci_convert.oci.digest import Digest as Digest
    from eci_convert.oci.platform import Platform as Platform
    from eci_convert.operations.extract import ExtractedPart as ExtractedPart
    from eci_convert.operations.extract import ExtractResult as ExtractResult
    from eci_convert.operations.inspect import Inspection as Inspection
    from eci_convert.operations.list_files import FileEntry as FileEntry
    from eci_convert.operations.store.list import ListedImage as ListedImage
    from eci_convert.operations.verify.report import Problem as Problem
    from eci_convert.operations.verify.report import Report as Report
    from eci_convert.oras_compat.registry import Registry as Registry
    from eci_convert.pack.result import PushResult as PushResult
    from eci_convert.progress import Reporter as Reporter
    from eci_convert.reading.local_parts import Disk as Disk
    from eci_convert.transports.traits import FileRequest as FileRequest


def _modules() -> dict[str, str]:
    """The module of each public name, as the table above has it: read from its code, which is there also where the
    source is not (a frozen program)."""
    from dis import get_instructions

    modules, module = dict[str, str](), ""
    for instruction in get_instructions(__spec__.loader.get_code(__name__)):  # type: ignore[union-attr]
        if instruction.opname == "IMPORT_NAME":
            module = instruction.argval
        elif instruction.opname == "IMPORT_FROM" and module.startswith(f"{__name__}."):
            modules[instruction.argval] = module
    del modules["__version__"]
    return modules


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted([*_modules(), "__version__"])
    module = None if name.startswith("_") else _modules().get(name)
    if module is None:
        raise AttributeError(f"module 'eci_convert' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted([*_modules(), "__version__"])
