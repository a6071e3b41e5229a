"""Which store a reference means: `containers-storage:[[DRIVER@]ROOT[+RUNROOT][:OPTIONS]]NAME`.

Where the reference does not say, storage.conf does, and else the user's or the system's own place, as podman has it
(containers-storage.conf(5); types/options.go of containers/storage). XDG_CONFIG_HOME is where storage.conf is for root
too, and STORAGE_DRIVER and STORAGE_OPTS change what it says. The run root and the other options are for programs that
mount; they are read and not used.
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
from eci_convert.files.home import home
from eci_convert.files.temp_files import is_directory
from eci_convert.transports.settings import Settings

_STORE: Final = re.compile(r"\[(?:(?P<driver>[^@\]]*)@)?(?P<root>[^+:\]]*)(?P<rest>[^\]]*)\](?P<name>.*)", re.DOTALL)
DRIVERS: Final = ("overlay", "vfs")
_SYSTEM: Final = Path("/var/lib/containers/storage")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLocation:
    """A store, and *name*, which is of an image in it. *text* is the reference behind `containers-storage:`."""

    text: str
    root: Path
    driver: str
    name: str
    more: tuple[Path, ...] = ()
    """Other stores, to be read only, that hold images and layers for this one (additionalimagestores)."""

    @classmethod
    def parse(cls, text: str, settings: Settings) -> Self:
        """The place that *text* means. Raises UsageError, and FormatError for a storage.conf that is none."""
        match = _STORE.fullmatch(text)
        if match is None and text.startswith("["):
            raise UsageError(f"{text!r}: missing ] after the location of the store")
        name = match["name"] if match else text
        if not name:
            raise UsageError(f"{text!r} has no image name")
        configured = {} if match and match["root"] else _configured(settings.environ)
        if match and match["root"]:
            root = Path(os.path.abspath(match["root"]))
        else:
            root = _default_root(configured, settings.environ)
        asked = (match["driver"] or "") if match else ""
        driver = _driver(
            asked or settings.environ.get("STORAGE_DRIVER", "") or str(configured.get("driver") or ""), root
        )
        more = _more(configured, driver, settings.environ) if not (match and match["root"]) else ()
        return cls(text=text, root=root, driver=driver, name=name, more=more)


def _driver(asked: str, root: Path) -> str:
    name = "overlay" if asked == "overlay2" else asked
    if name and name not in DRIVERS:
        raise UsageError(f"{asked!r} is not a supported storage driver (supported: {', '.join(DRIVERS)})")
    there = [driver for driver in DRIVERS if is_directory(root / f"{driver}-images")]
    return name or (there[0] if there else DRIVERS[0])


def _configured(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """The [storage] table of the first storage.conf there is."""
    for path in _config_files(environ):
        try:
            with open(path, "rb") as file:
                found = tomllib.load(file).get("storage", {})
        except FileNotFoundError as error:
            if environ.get("CONTAINERS_STORAGE_CONF"):
                raise NotFoundError(f"CONTAINERS_STORAGE_CONF: no such file: {str(path)!r}") from error
            continue
        except OSError as error:
            raise LocalError(f"{path}: {error.strerror or error}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise FormatError(f"not a storage.conf: {error}", where=str(path)) from error
        return found if isinstance(found, dict) else {}
    return {}


def _config_files(environ: Mapping[str, str]) -> list[Path]:
    if path := environ.get("CONTAINERS_STORAGE_CONF"):
        return [Path(path)]
    system = [Path("/etc/containers/storage.conf"), Path("/usr/share/containers/storage.conf")]
    folder = environ.get("XDG_CONFIG_HOME")  # which counts for root too; ~/.config does not
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
    """The additional stores: those of STORAGE_OPTS, which takes the place of all options, else storage.conf's."""
    if "STORAGE_OPTS" in environ:
        return tuple(_stores_in(environ["STORAGE_OPTS"], driver))
    options = configured.get("options")
    paths = options.get("additionalimagestores") if isinstance(options, dict) else None
    return tuple(Path(path) for path in paths if isinstance(path, str)) if isinstance(paths, list) else ()


def _stores_in(text: str, driver: str) -> Iterator[Path]:
    """The stores that `overlay.imagestore=PATH,…` names. Raises UsageError for what is no option."""
    for option in filter(None, (each.strip() for each in text.split(","))):
        key, equals, value = option.partition("=")
        if not equals:
            raise UsageError(f"STORAGE_OPTS: {option!r} is not of the form KEY=VALUE")
        word = key.strip().lower().removeprefix(f"{driver}.").removeprefix("storage.").removeprefix(".")
        if word in ("imagestore", "additionalimagestore") and value:
            yield Path(value.strip())


def _home(environ: Mapping[str, str]) -> str:
    return home(environ) or os.path.expanduser("~")
