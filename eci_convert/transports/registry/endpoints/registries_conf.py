"""Reads containers-registries.conf(5) and containers-registries.conf.d(5).

The main file is that of CONTAINERS_REGISTRIES_CONF (or REGISTRIES_CONFIG_PATH), else the user's, else the system's.
Drop-in files follow in the order of their names: only those of CONTAINERS_REGISTRIES_CONF_DIR if that is set, only the
user's beside a main file of the user's, else the system's and then the user's. A later table replaces an earlier one
with the same prefix. A file or folder that exists but cannot be read, or is malformed, is an error, as for podman: it
may be the one that blocks a registry.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from eci_convert.errors import LocalError
from eci_convert.files.config_file import read_config_file
from eci_convert.files.errors import local_errors
from eci_convert.files.home import home
from eci_convert.transports.registry.endpoints.rules import (
    PullFromMirror,
    RegistryEndpoint,
    RegistryRule,
    RegistryRules,
)

SYSTEM = Path("/etc/containers")
MACHINE_ALIASES = Path("/var/cache/containers/short-name-aliases.conf")

_MAX_FILE = 4 * 1024 * 1024
_NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}
"""No file can have such a name. Other errors hide a file that may block a registry."""
_ONLY_ALIASES = re.compile(
    rb"""(?:[ \t]*+(?:#[^\n]*+|\[aliases\]|"[^"\\\n]*+"[ \t]*+=[ \t]*+"[^"\\\n]*+")?[ \t]*+(?:#[^\n]*+)?\r?\n)*+"""
)
"""A file with only comments and short names: parsing it would take longer than the rest of a command."""
_TABLE = re.compile(r"\s*\[\[\s*[\"']?registry[\"']?\s*\]\]")
_BLOCKED = re.compile(r"\s*\"?blocked\"?\s*=")


def load_rules(environ: Mapping[str, str]) -> RegistryRules:
    """The rules in the files for *environ*; none for an empty environment. Raises LocalError."""
    return _parsed(_with_status(_files(environ)), aliases=False)


def load_aliases(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The short names that the files for *environ* define. Raises LocalError."""
    files = [*_files(environ), *_machine_aliases(environ)]
    return _parsed(_with_status(files), aliases=True).aliases


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """The files that exist, in the order in which they are applied. Raises LocalError."""
    if not environ:
        return
    own = _own_folder(environ)
    named = environ.get("CONTAINERS_REGISTRIES_CONF") or environ.get("REGISTRIES_CONFIG_PATH")
    folders = [SYSTEM / "registries.conf.d", *([own / "registries.conf.d"] if own else [])]
    main = Path(named) if named else SYSTEM / "registries.conf"
    if not named and own and _exists(own / "registries.conf"):
        main, folders = own / "registries.conf", folders[1:]
    if environ.get("CONTAINERS_REGISTRIES_CONF_DIR"):
        folders = [Path(environ["CONTAINERS_REGISTRIES_CONF_DIR"])]
    if _exists(main):
        yield main
    elif named:
        raise LocalError(f"{named!r}, which the environment names for registries.conf, does not exist")
    for folder in folders:
        yield from _drop_ins(folder)


def _own_folder(environ: Mapping[str, str]) -> Path | None:
    """The user's folder. None without a home directory, or if that is not accessible, such as HOME=/root in a container
    that runs with --user: podman fails there, but setting HOME already decides which rules apply."""
    directory = home(environ)
    if not directory:
        return None
    folder = Path(directory, ".config/containers")
    try:
        _exists(folder)
    except LocalError as error:
        if isinstance(error.__cause__, PermissionError):
            return None
        raise
    return folder


def _exists(path: Path) -> bool:
    """Whether *path* exists. Raises LocalError if that cannot be determined: os.path.exists() would return False."""
    with local_errors(path):
        try:
            path.stat()
        except OSError as error:
            if error.errno in _NO_SUCH_FILE:
                return False
            raise
    return True


def _drop_ins(folder: Path) -> list[Path]:
    """The drop-in files of *folder*, following links. Raises LocalError for broken ones, as podman does."""
    with local_errors(folder):
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            if error.errno in _NO_SUCH_FILE:
                return []
            raise
    return [folder / name for name in sorted(names) if name.endswith(".conf")]


def _machine_aliases(environ: Mapping[str, str]) -> Iterator[Path]:
    """The file in which podman records the short names that a user chose."""
    if environ:
        own = Path(environ.get("XDG_CACHE_HOME") or f"{home(environ)}/.cache", "containers/short-name-aliases.conf")
        path = own if os.getuid() else MACHINE_ALIASES
        if _exists(path):
            yield path


def _with_status(files: Iterable[Path]) -> tuple[tuple[Path, int, int], ...]:
    """*files*, each with its modification time in nanoseconds and its size in bytes: the key of the cache."""
    stamped = []
    for path in files:
        with local_errors(path):
            status = path.stat()
        stamped.append((path, status.st_mtime_ns, status.st_size))
    return tuple(stamped)


@lru_cache(maxsize=8)
def _parsed(files: tuple[tuple[Path, int, int], ...], *, aliases: bool) -> RegistryRules:
    rules: dict[str, RegistryRule] = {}
    names: dict[str, str] = {}
    for path, _, _ in files:
        content = _content(path)
        if not aliases and _ONLY_ALIASES.fullmatch(content + b"\n"):
            continue
        document = _document(content, path)
        if aliases:
            names |= _aliases(document, path)
        else:
            rules |= {rule.prefix: rule for rule in _rules(document, content.decode(), path)}
    return RegistryRules(rules=tuple(rules.values()), aliases={name: text for name, text in names.items() if text})


def _content(path: Path) -> bytes:
    with local_errors(path):
        return read_config_file(path, _MAX_FILE)


def _document(content: bytes, path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise LocalError(f"{path}: not valid TOML: {error}") from error


def _aliases(document: Mapping[str, Any], path: Path) -> dict[str, str]:
    aliases = document.get("aliases", {})
    if not isinstance(aliases, dict) or not all(isinstance(text, str) for text in aliases.values()):
        raise LocalError(f"{path}: [aliases] must map names to names")
    return aliases


def _rules(document: Mapping[str, Any], text: str, path: Path) -> Iterator[RegistryRule]:
    tables = document.get("registry", [])
    old = document.get("registries", {})
    if not isinstance(tables, list) or not isinstance(old, dict):
        raise LocalError(f"{path}: 'registry' is not an array of tables")
    if tables and old:
        raise LocalError(f"{path}: mixes [[registry]] with the older [registries]")
    lines = _lines_of_tables(text)
    if len(lines) != len(tables):  # an unusual spelling of a table: no line is better than a wrong one
        lines = [(0, 0)] * len(tables)
    for table, (line, blocked_line) in zip(tables, lines, strict=True):
        yield _rule(table, path, line, blocked_line)
    yield from _old_rules(old, path)


def _rule(table: Any, path: Path, line: int, blocked_line: int) -> RegistryRule:
    where = f"{path}:{line}" if line else str(path)
    if not isinstance(table, dict):
        raise LocalError(f"{where}: 'registry' is not an array of tables")
    location = _location(table.get("location", ""), where)
    prefix = _location(table.get("prefix", ""), where) or location
    if not prefix or (not location and not prefix.startswith("*.")):
        raise LocalError(f"{where}: a registry needs a location")
    if "pull-from-mirror" in table:
        raise LocalError(f"{where}: pull-from-mirror is a key of mirrors only")
    by_digest = _flag(table, "mirror-by-digest-only", where)
    mirrors = table.get("mirror", [])
    if not isinstance(mirrors, list):
        raise LocalError(f"{where}: 'mirror' is not an array of tables")
    return RegistryRule(
        prefix=prefix,
        endpoint=RegistryEndpoint(location=location, insecure=_flag(table, "insecure", where)),
        mirrors=tuple(_mirror(mirror, where, by_digest=by_digest) for mirror in mirrors),
        blocked=_flag(table, "blocked", where),
        mirror_by_digest_only=by_digest,
        origin=where,
        blocked_at=f"{path}:{blocked_line or line}" if line else str(path),
    )


def _mirror(table: Any, where: str, *, by_digest: bool) -> RegistryEndpoint:
    location = _location(table.get("location", ""), where) if isinstance(table, dict) else ""
    if not location:
        raise LocalError(f"{where}: a mirror needs a location")
    text = table.get("pull-from-mirror", "") or PullFromMirror.ALL
    if text not in list(PullFromMirror):
        raise LocalError(f"{where}: pull-from-mirror is {text!r}: use one of {', '.join(PullFromMirror)}")
    if by_digest and table.get("pull-from-mirror"):
        raise LocalError(f"{where}: pull-from-mirror and mirror-by-digest-only exclude each other")
    return RegistryEndpoint(
        location=location, insecure=_flag(table, "insecure", where), pull_from_mirror=PullFromMirror(text)
    )


def _location(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise LocalError(f"{where}: {value!r} is not a location")
    if "://" in value:
        raise LocalError(f"{where}: the location {value!r} is a URL: write HOST[:PORT][/NAMESPACE]")
    return value.rstrip("/")


def _flag(table: Mapping[str, Any], name: str, where: str) -> bool:
    value = table.get(name, False)
    if not isinstance(value, bool):
        raise LocalError(f"{where}: {name} is {value!r}: write true or false")
    return value


def _old_rules(table: Mapping[str, Any], path: Path) -> Iterator[RegistryRule]:
    """The rules of the deprecated version 1 of the format: lists of blocked and of insecure registries."""
    flags_by_location: dict[str, dict[str, bool]] = {}
    for word, flag in (("insecure", "insecure"), ("block", "blocked")):
        section = table.get(word, {})
        names = section.get("registries", []) if isinstance(section, dict) else None
        if not isinstance(names, list):
            raise LocalError(f"{path}: [registries.{word}] must contain a list of registries")
        for name in names:
            flags_by_location.setdefault(_location(name, str(path)), {})[flag] = True
    for name, flags in flags_by_location.items():
        yield _rule({"location": name, **flags}, path, 0, 0)


def _lines_of_tables(text: str) -> list[tuple[int, int]]:
    """For each `[[registry]]` of a file its line number, and that of its `blocked`, 0 without one."""
    lines: list[tuple[int, int]] = []
    in_table = False
    for number, line in enumerate(text.splitlines(), 1):
        if _TABLE.match(line):
            lines.append((number, 0))
            in_table = True
        elif line.lstrip().startswith("["):
            in_table = False
        elif in_table and _BLOCKED.match(line):
            lines[-1] = (lines[-1][0], number)
    return lines
