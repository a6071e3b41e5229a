"""Docker's `registry-mirrors`: mirrors of Docker Hub (docs.docker.com, dockerd, daemon configuration file)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from eci_convert.errors import UsageError
from eci_convert.files.config_file import read_config_file
from eci_convert.files.home import home
from eci_convert.oci.reference import HUB, Reference
from eci_convert.transports.registry.endpoints.rules import RegistryEndpoint, RegistryRule

SYSTEM = Path("/etc/docker/daemon.json")
_MAX_FILE = 1024 * 1024
_PORTS = {"http": 80, "https": 443}


def hub_rule(environ: Mapping[str, str]) -> RegistryRule | None:
    """The rule for Docker Hub from the file of the user's rootless dockerd, else of the system's; None without mirrors.

    Unreadable and invalid files are ignored: they are dockerd's own, and dockerd reports them.
    """
    for path in _files(environ):
        mirrors = tuple(_mirrors(path))
        if mirrors:
            return RegistryRule(prefix=HUB, endpoint=RegistryEndpoint(location=HUB), mirrors=mirrors, origin=str(path))
    return None


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    if not environ:
        return
    home_directory = home(environ)
    config = environ.get("XDG_CONFIG_HOME") or (f"{home_directory}/.config" if home_directory else "")
    if config:
        yield Path(config, "docker/daemon.json")
    yield SYSTEM


def _mirrors(path: Path) -> Iterator[RegistryEndpoint]:
    try:
        document = json.loads(read_config_file(path, _MAX_FILE))
    except (OSError, ValueError, RecursionError):
        return
    urls = document.get("registry-mirrors") if isinstance(document, dict) else None
    for url in urls if isinstance(urls, list) else []:
        endpoint = _endpoint(url) if isinstance(url, str) else None
        if endpoint is not None:
            yield endpoint


def _endpoint(url: str) -> RegistryEndpoint | None:
    """The mirror at *url*; None if it is not a URL of a registry."""
    try:
        parts = urlsplit(url)
        host = parts.netloc
        if parts.scheme not in ("http", "https") or "@" in host:
            return None
        if (
            "." not in host and ":" not in host
        ):  # in a reference, a host without dot or port would be a repository of Docker Hub
            host = f"{host}:{_PORTS[parts.scheme]}"
        location = f"{host}{parts.path}".rstrip("/")
        if Reference.parse(f"{location}/image").host != host:
            return None
    except (ValueError, UsageError):
        return None
    return RegistryEndpoint(location=location, plain_http=parts.scheme == "http")
