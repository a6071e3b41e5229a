"""Docker's `registry-mirrors`: mirrors of Docker Hub (docs.docker.com, dockerd, daemon configuration file)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from eci_convert.oci.reference import HUB
from eci_convert.transports.registry.endpoints.rules import RegistryEndpoint, RegistryRule

SYSTEM = Path("/etc/docker/daemon.json")
_MAX_FILE = 1024 * 1024


def hub_rule(environ: Mapping[str, str]) -> RegistryRule | None:
    """The rule for Docker Hub in the file of the user's own dockerd, else of the system's; None where neither has any.

    It is dockerd's file: what cannot be read, or makes no sense, is dockerd's business.
    """
    for path in _files(environ):
        mirrors = tuple(_mirrors(path))
        if mirrors:
            return RegistryRule(prefix=HUB, endpoint=RegistryEndpoint(location=HUB), mirrors=mirrors, origin=str(path))
    return None


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    if not environ:
        return
    home = environ.get("HOME", "")
    config = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    if config:
        yield Path(config, "docker/daemon.json")
    yield SYSTEM


def _mirrors(path: Path) -> Iterator[RegistryEndpoint]:
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_MAX_FILE))
    except (OSError, ValueError, RecursionError):
        return
    urls = document.get("registry-mirrors") if isinstance(document, dict) else None
    for url in urls if isinstance(urls, list) else []:
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts and parts.scheme in ("http", "https") and parts.netloc and "@" not in parts.netloc:
            location = f"{parts.netloc}{parts.path}".rstrip("/")
            yield RegistryEndpoint(location=location, plain_http=parts.scheme == "http")
