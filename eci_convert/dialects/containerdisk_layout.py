"""The root disk of a containerDisk, in any format that serves as one: `disk/NAME`, readable by qemu.

The directory has an entry of its own, which CDI's importer and engines look for, and the Entrypoint lets
`docker create` make a container of an image that runs nothing. KubeVirt's qemu has user and group 107. KubeVirt takes
any file name, but CDI's importer (1.66) passes the path to qemu-img as a URL: it does not find a file whose name is
escaped there, and crashes over a stray "%".
"""

from __future__ import annotations

import re
from typing import Final

from eci_convert.dialects.blueprint import TarEntrySpec, WriteOptions
from eci_convert.dialects.part_names import checked_name, describe, original_name
from eci_convert.errors import CannotHoldError
from eci_convert.model import Artifact, DiskType, Part, Role

DIRECTORY: Final = "disk/"
ENTRYPOINT: Final = ("no-entrypoint",)
USER: Final = 107
_ESCAPED_IN_URLS = re.compile(r"[^A-Za-z0-9._~!$&'()*+,;=:@-]", re.ASCII)
"""What is no `pchar` (RFC 3986 §3.3), and "%"."""
_TYPES = (DiskType.RAW, DiskType.ISO, DiskType.QCOW2, None)
"""What KubeVirt's qemu takes; it looks at the bytes to tell them apart."""


def check_containerdisk(artifact: Artifact) -> None:
    """Raises CannotHoldError unless *artifact* has a root disk of a type that KubeVirt boots."""
    disk = artifact.part(Role.ROOT_DISK)
    if disk is None:
        raise CannotHoldError("a containerdisk is a root disk, and there is none")
    if disk.disk_type not in _TYPES:
        raise CannotHoldError(f"a containerdisk is raw or qcow2, and {describe(disk)} is {disk.disk_type}")


def disk_entry(disk: Part, options: WriteOptions) -> TarEntrySpec:
    """The tar entry of the root disk *disk*. Raises UsageError for a name that no image can carry."""
    checked_name(disk)
    path = DIRECTORY + _ESCAPED_IN_URLS.sub("-", original_name(disk))
    return TarEntrySpec(path=path, mode=0o440, uid=USER, gid=USER, mtime=options.created, directory_mode=0o755)
