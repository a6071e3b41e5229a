"""A small Debian with Python, as a root file system: the base image of tests that reach no registry.

It is made of the files of packages that are installed on this machine, so nothing is downloaded.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from pathlib import Path

_PACKAGES = ("python3-venv", "coreutils", "dash", "libc-bin", "base-files")
_LEFT_OUT = re.compile(r"/usr/share/(doc|man|locale|info|lintian|bug|gcc|perl5|mime)/|.*/(__pycache__|test|idlelib)/")
_MERGED = ("bin", "sbin", "lib", "lib64")
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_PASSWD = b"root:x:0:0:root:/root:/bin/sh\n"


def write_root_filesystem(path: Path) -> None:
    """Write *path*, a tar archive for `docker import`."""
    files = sorted({_real(file) for package in _closure(_PACKAGES) for file in _files(package)} | {_CERTIFICATES})
    with tarfile.open(path, "w") as archive:
        for name in _MERGED:
            archive.addfile(_link(name, f"usr/{name}"))
        archive.addfile(_directory("tmp", 0o1777))
        archive.addfile(_directory("root", 0o700))
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(_PASSWD)
        archive.addfile(entry, io.BytesIO(_PASSWD))
        for file in files:
            archive.add(file, recursive=False)


def _closure(packages: tuple[str, ...]) -> set[str]:
    """*packages* and all installed ones that they depend on."""
    format_ = "${Package}\t${Provides}\t${Pre-Depends}, ${Depends}\n"
    depends: dict[str, list[str]] = {}
    providers: dict[str, str] = {}
    for line in _output("dpkg-query", "-W", f"-f={format_}").splitlines():
        name, provided, needed = line.split("\t")
        depends[name] = [_name(alternative) for each in needed.split(",") for alternative in each.split("|")]
        providers |= {_name(each): name for each in provided.split(",")}
    complete: set[str] = set()
    waiting = list(packages)
    while waiting:
        name = waiting.pop()
        name = name if name in depends else providers.get(name, "")
        if name and name not in complete:
            complete.add(name)
            waiting += depends[name]
    return complete


def _name(relation: str) -> str:
    """The package in a relation such as "libc6:any (>= 2.34)"."""
    return re.split(r"[\s:(]", relation.strip(), maxsplit=1)[0]


def _files(package: str) -> list[str]:
    paths = _output("dpkg-query", "-L", package).splitlines()
    return [path for path in paths if path.startswith("/") and not _LEFT_OUT.match(path) and _is_file(path)]


def _is_file(path: str) -> bool:
    return os.path.islink(path) or os.path.isfile(path)


def _real(path: str) -> str:
    """*path* with links in its directories followed: /bin/sh is /usr/bin/sh."""
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)


def _link(name: str, target: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    return entry


def _directory(name: str, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    return entry


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
