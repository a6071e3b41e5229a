"""The address of the Docker engine, determined as by the docker command: DOCKER_HOST, then DOCKER_CONTEXT, then the
context chosen by `docker context use`, then the default socket, or podman's socket if there is no Docker engine.

docker/cli, "docker context": a context's metadata is `contexts/meta/ID/meta.json` below the directory of config.json,
its certificates are in `contexts/tls/ID/docker`; ID is the sha256 of the context's name. The SDK's own reader misses
contexts without a config.json, and reads the process environment only.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eci_convert.errors import LocalError, UsageError
from eci_convert.files.config_file import read_config_file
from eci_convert.files.home import home
from eci_convert.redaction import redacted_host
from eci_convert.transports.docker_daemon.podman_socket import accepts_connections, podman_socket

_log = logging.getLogger(__name__)

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
_DEFAULT = "default"
_MAX_META = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An engine's address as in DOCKER_HOST, and its TLS settings.

    *origin* is where it was configured. *cert*, *key* and *ca* are files, "" for none; *verify*: verify the engine's
    certificate.
    """

    host: str = field(repr=False)
    origin: str
    tls: bool = False
    verify: bool = True
    ca: str = ""
    cert: str = ""
    key: str = ""

    @property
    def shown(self) -> str:
        """The address for display, without credentials before an `@`."""
        return redacted_host(self.host)


def find(environ: Mapping[str, str]) -> Endpoint:
    """The engine configured by *environ* and the user's files.

    Raises UsageError for a context that does not exist, LocalError for one that cannot be read.
    """
    if environ.get("DOCKER_HOST"):
        return _from_environment(environ)
    directory = config_folder(environ)
    name = environ.get("DOCKER_CONTEXT") or _current_context(directory)
    if name == _DEFAULT:
        return _default_endpoint(environ)
    return _from_context(directory, name)


def _default_endpoint(environ: Mapping[str, str]) -> Endpoint:
    """Docker's default socket; if that refuses connections, podman's if that accepts them."""
    if not accepts_connections(DEFAULT_SOCKET) and (podman := podman_socket(environ)):
        _log.info("no Docker engine at %s: using podman's socket %s", DEFAULT_SOCKET, redacted_host(podman))
        return Endpoint(host=podman, origin="podman's socket")
    return Endpoint(host=DEFAULT_SOCKET, origin="the default")


def config_folder(environ: Mapping[str, str]) -> Path:
    """The directory of Docker's client configuration."""
    if environ.get("DOCKER_CONFIG"):
        return Path(environ["DOCKER_CONFIG"])
    return Path(home(environ) or "/", ".docker")


def _from_environment(environ: Mapping[str, str]) -> Endpoint:
    host = environ["DOCKER_HOST"]
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    if not (verify or environ.get("DOCKER_TLS") or environ.get("DOCKER_CERT_PATH")):
        return Endpoint(host=host, origin="DOCKER_HOST")
    directory = Path(environ.get("DOCKER_CERT_PATH") or config_folder(environ))
    return Endpoint(host=host, origin="DOCKER_HOST", tls=True, verify=verify, **_certificates(directory))


def _from_context(directory: Path, name: str) -> Endpoint:
    context_id = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    path = directory / "contexts/meta" / context_id / "meta.json"
    if not os.path.isfile(path):
        error = UsageError(f"no such Docker context: {name!r}")
        error.add_note("hint: it was chosen by DOCKER_CONTEXT or `docker context use`; `docker context ls` lists all")
        raise error
    endpoint = _object(_object(_read(path).get("Endpoints")).get("docker"))
    host = endpoint.get("Host")
    if not isinstance(host, str) or not host:
        raise LocalError(f"{str(path)!r} has no endpoint of a Docker engine")
    certificates = _certificates(directory / "contexts/tls" / context_id / "docker")
    return Endpoint(
        host=host,
        origin=f"the context {name!r}",
        tls=any(certificates.values()) or host.startswith("https://"),
        verify=not endpoint.get("SkipTLSVerify"),
        **certificates,
    )


def _current_context(directory: Path) -> str:
    """The context chosen by `docker context use`. An unreadable config.json is ignored, as by the docker command."""
    path = directory / "config.json"
    try:
        name = _read(path).get("currentContext")
    except LocalError:
        return _DEFAULT
    return name if isinstance(name, str) and name else _DEFAULT


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return _object(json.loads(read_config_file(path, _MAX_META)))
    except OSError as error:
        raise LocalError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise LocalError(f"{str(path)!r} is not valid JSON") from error


def _certificates(directory: Path) -> dict[str, str]:
    return {
        name: str(directory / f"{name}.pem") if os.path.isfile(directory / f"{name}.pem") else ""
        for name in ("ca", "cert", "key")
    }


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
