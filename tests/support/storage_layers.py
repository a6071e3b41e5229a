"""Layers for tests: archives that are well or ill made, unpacked as a store unpacks them."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from eci_convert.oci.digest import Digest
from eci_convert.progress import NULL_REPORTER, Reporter
from eci_convert.transports.containers_storage.drivers.overlay import Overlay
from eci_convert.transports.containers_storage.drivers.staging import Staged, Staging
from eci_convert.transports.containers_storage.drivers.vfs import Vfs
from eci_convert.transports.containers_storage.layers.layer_archive import rebuild_archive
from eci_convert.transports.containers_storage.layers.layer_import import import_layer
from eci_convert.transports.verified_input import VerifiedInput

KINDS = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "link": tarfile.SYMTYPE,
    "hard": tarfile.LNKTYPE,
    "fifo": tarfile.FIFOTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "other": b"Z",
}


def member(name: str, kind: str = "file", content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A member; *fields* are those of TarInfo: `linkname`, `mode`, `uid`, `mtime`, `pax_headers`, …"""
    found = tarfile.TarInfo(name)
    found.type = KINDS[kind]
    found.size = len(content)
    found.mode = 0o755 if kind == "dir" else 0o644
    for key, value in fields.items():
        setattr(found, key, value)
    return found, content


def an_archive(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    """The archive of *members*, with Python's padding behind it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format, errors="surrogateescape") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def unpacked(home: Path, archive: bytes, driver: str = "overlay", reporter: Reporter | None = None) -> Staged:
    """*archive* as a store below *home* would stage it; it must be possible to make it again."""
    keeper = Overlay(home) if driver == "overlay" else Vfs(home)
    keeper.home.mkdir(parents=True, exist_ok=True)
    staging = Staging.create(keeper.home)
    received = VerifiedInput([archive], Digest.of(archive), len(archive))
    staged = import_layer(staging, keeper, "", received, reporter or NULL_REPORTER)
    assert staged.diff_id == Digest.of(archive)
    assert b"".join(rebuild_archive(staged.split, staged.diff)) == archive
    return staged


def seen(top: Path) -> dict[str, str | bytes | None]:
    """What is below *top*: content of files, targets of links, None for directories, other things by their kind."""
    found: dict[str, str | bytes | None] = {}
    for path in sorted(top.rglob("*")):
        mode = os.lstat(path).st_mode
        name = str(path.relative_to(top))
        if stat.S_ISLNK(mode):
            found[name] = f"-> {os.readlink(path)}"
        elif stat.S_ISDIR(mode):
            found[name] = None
        elif stat.S_ISREG(mode):
            found[name] = path.read_bytes()
        else:
            found[name] = {stat.S_IFCHR: "char", stat.S_IFBLK: "block", stat.S_IFIFO: "fifo"}[stat.S_IFMT(mode)]
    return found


@dataclass(frozen=True, slots=True)
class World:
    """A directory for a store, and a host beside it that no layer may touch."""

    home: Path
    host: Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    host = tmp_path / "host"
    host.mkdir()
    (host / "passwd").write_bytes(b"root")
    (host / "passwd").chmod(0o640)
    home = tmp_path / "home"
    home.mkdir()
    before = _everything(tmp_path, home)

    yield World(home, host)

    assert _everything(tmp_path, home) == before, "the host was touched"


def _everything(top: Path, but: Path) -> list[tuple[str, os.stat_result | bytes | None]]:
    found: list[tuple[str, os.stat_result | bytes | None]] = []
    for path in sorted(top.rglob("*")):
        if path == but or but in path.parents:
            continue
        state = os.lstat(path)
        words = (state.st_mode, state.st_uid, state.st_gid, state.st_nlink, state.st_mtime_ns, state.st_ctime_ns)
        found.append((str(path), path.read_bytes() if path.is_file() else None))
        found.append((str(words), None))
    return found
