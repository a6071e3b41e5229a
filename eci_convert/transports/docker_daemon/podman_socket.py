"""Finds the socket of podman's Docker-compatible service, for users without a Docker engine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

_SYSTEM = "/run/podman/podman.sock"
_CONNECT_TIMEOUT = 1.0  # seconds for a connection within this computer


def podman_socket(environ: Mapping[str, str]) -> str:
    """The address of podman's service that accepts a connection, as DOCKER_HOST would spell it; "" if there is none."""
    return next((address for address in podman_addresses(environ) if accepts_connections(address)), "")


def podman_addresses(environ: Mapping[str, str]) -> Iterator[str]:
    """The possible addresses of podman's service: CONTAINER_HOST, then this user's socket, then the system's."""
    if environ.get("CONTAINER_HOST"):
        yield environ["CONTAINER_HOST"]
    if environ.get("XDG_RUNTIME_DIR"):
        yield f"unix://{environ['XDG_RUNTIME_DIR']}/podman/podman.sock"
    yield f"unix://{_SYSTEM}"


def accepts_connections(address: str) -> bool:
    """Whether something listens at *address*, a Unix or TCP socket; a socket that this user may not open is one too."""
    url = urlsplit(address)
    try:
        if url.scheme == "unix" and url.path:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_CONNECT_TIMEOUT)
                connection.connect(url.path)
        elif url.scheme == "tcp" and url.hostname and url.port:
            socket.create_connection((url.hostname, url.port), _CONNECT_TIMEOUT).close()
        else:
            return False
    except PermissionError:
        return os.path.exists(url.path)
    except (OSError, ValueError):
        return False
    return True
