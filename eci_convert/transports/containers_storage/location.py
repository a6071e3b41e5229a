"""The store of a reference: `containers-storage:[[DRIVER@]ROOT[+RUNROOT][:OPTIONS]]NAME`.

Defaults come from storage.conf, and else from the user's or the system's default location, as with podman
(containers-storage.conf(5); types/options.go of containers/storage). XDG_CONFIG_HOME applies to storage.conf for root
too; STORAGE_DRIVER and STORAGE_OPTS override it. The run root and other options concern mounts; they are parsed and
ignored.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from eci_convert.errors import FormatError, LocalError, NotFoundError, UsageError
from eci_convert.files.config_file import read_config_file
from eci_convert.files.home import home
from eci_convert.files.temp_files import is_directory
from eci_convert.transports.settings import Settings

_STORE: Final = re.compile(r"\[(?:(?P<driver>[^@\]]*)@)?(?P<root>[^+:\]]*)(?P<rest>[^\]]*)\](?P<name>.*)", re.DOTALL)
DRIVERS: Final = ("overlay", "vfs")
_SYSTEM: Final = Path("/var/lib/containers/storage")
_MAX_CONFIG: Final = 4 * 1024 * 1024  # bytes of a storage.conf


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLocation:
    """A store, and the *name* of an image in it. *text* is the reference behind `containers-storage:`."""

    text: str
    root: Path
    driver: str
    name: str
    more: tuple[Path, ...] = ()
    """Additional read-only stores with images and layers (additionalimagestores)."""

    @classmethod
    def parse(cls, text: str, settings: Settings, *, named: bool = True) -> Self:
        """The location *text*, parsed; with *named*, it must name an image. Raises UsageError, and FormatError for an
        invalid storage.conf."""
        match = _STORE.fullmatch(text)
        if match is None and text.startswith("["):
            raise UsageError(f"{text!r}: missing ] after the location of the store")
        name = match["name"] if match else text
        if named and not name:
            raise UsageError(f"{text!r} has no image name")
        configured = {} if match and match["root"] else _configured(settings.environ)
        if match and match["root"]:
            root = Path(os.path.abspath(match["root"]))
        else:
            root = _default_root(configured, settings.environ)
        driver_option = (match["driver"] or "") if match else ""
        driver = _driver(
            driver_option or settings.environ.get("STORAGE_DRIVER", "") or str(configured.get("driver") or ""), root
        )
        more = _more(configured, driver, settings.environ) if not (match and match["root"]) else ()
        return cls(text=text, root=root, driver=driver, name=name, more=more)


def _driver(requested: str, root: Path) -> str:
    name = "overlay" if requested == "overlay2" else requested
    if name and name not in DRIVERS:
        raise UsageError(f"{requested!r} is not a supported storage driver (supported: {', '.join(DRIVERS)})")
    existing = [driver for driver in DRIVERS if is_directory(root / f"{driver}-images")]
    return name or (existing[0] if existing else DRIVERS[0])


def _configured(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """The [storage] table of the first storage.conf that exists."""
    for path in _config_files(environ):
        try:
            content = read_config_file(path, _MAX_CONFIG, may_be_pipe="CONTAINERS_STORAGE_CONF" in environ)
            table = tomllib.loads(content.decode()).get("storage", {})
        except FileNotFoundError as error:
            if environ.get("CONTAINERS_STORAGE_CONF"):
                raise NotFoundError(f"CONTAINERS_STORAGE_CONF: no such file: {str(path)!r}") from error
            continue
        except OSError as error:
            raise LocalError(f"{path}: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise FormatError(f"not a storage.conf: {error}", where=str(path)) from error
        return table if isinstance(table, dict) else {}
    return {}


def _config_files(environ: Mapping[str, str]) -> list[Path]:
    if path := environ.get("CONTAINERS_STORAGE_CONF"):
        return [Path(path)]
    system = [Path("/etc/containers/storage.conf"), Path("/usr/share/containers/storage.conf")]
    folder = environ.get("XDG_CONFIG_HOME")  # applies to root too; ~/.config does not
    if not folder and os.geteuid() != 0:
        folder = f"{_home(environ)}/.config"
    return [Path(folder, "containers/storage.conf"), *system] if folder else system


def _default_root(configured: Mapping[str, Any], environ: Mapping[str, str]) -> Path:
    if os.geteuid() == 0:
        return Path(str(configured.get("graphroot") or _SYSTEM))
    if rootless := configured.get("rootless_storage_path"):
        words = {"HOME": _home(environ), "UID": str(os.geteuid()), "USER": environ.get("USER", "")}
        return Path(re.sub(r"\$(HOME|UID|USER)", lambda match: words[match[1]], str(rootless)))
    graphroot = str(configured.get("graphroot") or "")
    if graphroot and Path(graphroot) != _SYSTEM:
        return Path(graphroot)
    return Path(environ.get("XDG_DATA_HOME") or f"{_home(environ)}/.local/share", "containers/storage")


def _more(configured: Mapping[str, Any], driver: str, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The additional stores: those of STORAGE_OPTS, which replaces all options, else those of storage.conf."""
    if "STORAGE_OPTS" in environ:
        return tuple(_stores_in(environ["STORAGE_OPTS"], driver))
    options = configured.get("options")
    paths = options.get("additionalimagestores") if isinstance(options, dict) else None
    return tuple(Path(path) for path in paths if isinstance(path, str)) if isinstance(paths, list) else ()


def _stores_in(text: str, driver: str) -> Iterator[Path]:
    """The stores in `overlay.imagestore=PATH,…`. Raises UsageError for an invalid option."""
    for option in filter(None, (each.strip() for each in text.split(","))):
        key, equals, value = option.partition("=")
        if not equals:
            raise UsageError(f"STORAGE_OPTS: {option!r} is not of the form KEY=VALUE")
        word = key.strip().lower().removeprefix(f"{driver}.").removeprefix("storage.").removeprefix(".")
        if word in ("imagestore", "additionalimagestore") and value:
            yield Path(value.strip())


def _home(environ: Mapping[str, str]) -> str:
    return home(environ) or os.path.expanduser("~")
