"""Where the Docker engine is, told as the docker command tells it: DOCKER_HOST, then DOCKER_CONTEXT, then the context
that `docker context use` chose, then the usual socket, or podman's where there is no Docker engine.

docker/cli, "docker context": a context's metadata lies in `contexts/meta/ID/meta.json` below the folder of config.json,
its certificates in `contexts/tls/ID/docker`, ID being the sha256 of the context's name. The SDK's own reader of these
loses them where there is no config.json, and reads the process environment alone.
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
from eci_convert.files.home import home
from eci_convert.redaction import redacted_host
from eci_convert.transports.docker_daemon.podman_socket import accepts_connections, podman_socket

_log = logging.getLogger(__name__)

USUAL = "unix:///var/run/docker.sock"
_DEFAULT = "default"
_MAX_META = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An engine's address as DOCKER_HOST spells it, and what is needed for TLS.

    *origin* says what decided it. *cert*, *key* and *ca* are files, "" for none; *verify* is whether the engine must
    prove who it is.
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
        """The address for people: what stands before an `@` in it is a user's name and password."""
        return redacted_host(self.host)


def find(environ: Mapping[str, str]) -> Endpoint:
    """The engine that *environ* and the user's files name. Raises UsageError for a context that is not there, and
    LocalError for one that cannot be read."""
    if environ.get("DOCKER_HOST"):
        return _from_environment(environ)
    folder = config_folder(environ)
    name = environ.get("DOCKER_CONTEXT") or _current_context(folder)
    if name == _DEFAULT:
        return _usual(environ)
    return _from_context(folder, name)


def _usual(environ: Mapping[str, str]) -> Endpoint:
    """Docker's usual socket; where nothing listens there, podman's if that accepts connections."""
    if not accepts_connections(USUAL) and (podman := podman_socket(environ)):
        _log.info("there is no Docker engine at %s: using podman's socket %s", USUAL, redacted_host(podman))
        return Endpoint(host=podman, origin="podman's socket")
    return Endpoint(host=USUAL, origin="nothing else is said")


def config_folder(environ: Mapping[str, str]) -> Path:
    """Where Docker's client keeps its files."""
    if environ.get("DOCKER_CONFIG"):
        return Path(environ["DOCKER_CONFIG"])
    return Path(home(environ) or "/", ".docker")


def _from_environment(environ: Mapping[str, str]) -> Endpoint:
    host = environ["DOCKER_HOST"]
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    if not (verify or environ.get("DOCKER_TLS") or environ.get("DOCKER_CERT_PATH")):
        return Endpoint(host=host, origin="DOCKER_HOST")
    folder = Path(environ.get("DOCKER_CERT_PATH") or config_folder(environ))
    return Endpoint(host=host, origin="DOCKER_HOST", tls=True, verify=verify, **_certificates(folder))


def _from_context(folder: Path, name: str) -> Endpoint:
    identity = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    path = folder / "contexts/meta" / identity / "meta.json"
    if not os.path.isfile(path):
        error = UsageError(f"there is no Docker context {name!r}")
        error.add_note("hint: DOCKER_CONTEXT or `docker context use` names it; `docker context ls` shows what there is")
        raise error
    endpoint = _object(_object(_read(path).get("Endpoints")).get("docker"))
    host = endpoint.get("Host")
    if not isinstance(host, str) or not host:
        raise LocalError(f"{str(path)!r} names no Docker engine")
    certificates = _certificates(folder / "contexts/tls" / identity / "docker")
    return Endpoint(
        host=host,
        origin=f"the context {name!r}",
        tls=any(certificates.values()) or host.startswith("https://"),
        verify=not endpoint.get("SkipTLSVerify"),
        **certificates,
    )


def _current_context(folder: Path) -> str:
    """What `docker context use` chose. A config.json that cannot be read chooses nothing, as for the docker command."""
    path = folder / "config.json"
    try:
        name = _read(path).get("currentContext")
    except LocalError:
        return _DEFAULT
    return name if isinstance(name, str) and name else _DEFAULT


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            return _object(json.loads(file.read(_MAX_META)))
    except OSError as error:
        raise LocalError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise LocalError(f"{str(path)!r} is no JSON document") from error


def _certificates(folder: Path) -> dict[str, str]:
    return {
        name: str(folder / f"{name}.pem") if os.path.isfile(folder / f"{name}.pem") else ""
        for name in ("ca", "cert", "key")
    }


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
