"""What the original tools left, out of tests/golden."""

from __future__ import annotations

import tarfile
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"


def unpack(name: str, directory: Path) -> None:
    """Everything in the archive *name* below *directory*, links as they are."""
    with tarfile.open(GOLDEN / name) as archive:
        for member in archive:
            path = directory / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.isdir():
                path.mkdir(exist_ok=True)
            elif member.issym():
                path.symlink_to(member.linkname)
            else:
                file = archive.extractfile(member)
                assert file
                path.write_bytes(file.read())
                path.chmod(member.mode)
