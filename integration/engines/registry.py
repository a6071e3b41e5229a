"""A registry on a loopback port: open to all, with a password, or over TLS."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from integration.engines import daemon
from integration.engines.programs import DEBIAN_PATH, Programs

USER, PASSWORD = "machinist", "correct horse battery"

_CONFIG = """\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {folder}/blobs}}
  delete: {{enabled: true}}
http:
  addr: {host}
  secret: not-a-secret
"""
_TLS = "  tls: {{certificate: {folder}/cert.pem, key: {folder}/key.pem}}\n"
_LOGIN = "auth:\n  htpasswd: {{realm: eci-convert, path: {folder}/htpasswd}}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A running registry. Image names in it are `HOST/anything:tag`."""

    name: str
    host: str  # 127.0.0.1:PORT
    url: str
    storage: Path  # its blobs are below: docker/registry/v2/blobs/sha256/ab/abcd…/data
    user: str | None  # None: it asks nobody
    password: str | None
    ca_file: Path | None  # None: plain HTTP

    def blob(self, digest: str) -> Path:
        """Where the registry keeps this blob, so that a test may spoil it."""
        algorithm, _, value = digest.partition(":")
        return self.storage / "docker/registry/v2/blobs" / algorithm / value[:2] / value / "data"


@contextlib.contextmanager
def registry(*, login: bool = False, tls: bool = False) -> Iterator[Registry]:
    with daemon.own_folder() as folder:
        host = f"127.0.0.1:{_free_port()}"
        config = _CONFIG + (_TLS if tls else "") + (_LOGIN if login else "")
        (folder / "config.yml").write_text(config.format(folder=folder, host=host))
        if login:
            _make_password_file(folder)
        if tls:
            _make_certificate(folder)
        answer = Registry(
            name="registry" + "_login" * login + "_tls" * tls,
            host=host,
            url=f"{'https' if tls else 'http'}://{host}",
            storage=folder / "blobs",
            user=USER if login else None,
            password=PASSWORD if login else None,
            ca_file=folder / "cert.pem" if tls else None,
        )
        command = [Programs().docker_registry, "serve", f"{folder}/config.yml"]
        env = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
        with daemon.running(folder, command, lambda: _answers(answer), env | {"PATH": DEBIAN_PATH}):
            yield answer


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _make_password_file(folder: Path) -> None:
    command = [Programs().htpasswd, "-Bbn", "-C", "5", USER, PASSWORD]
    (folder / "htpasswd").write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)


def _make_certificate(folder: Path) -> None:
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout {folder}/key.pem -out {folder}/cert.pem"
    subprocess.run(command.split(), capture_output=True, check=True)


def _answers(registry: Registry) -> bool:
    if registry.ca_file:
        trust = ssl.create_default_context(cafile=str(registry.ca_file))
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(registry.host, timeout=5, context=trust)
    else:
        connection = http.client.HTTPConnection(registry.host, timeout=5)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status in (200, 401)
    except OSError:
        return False
    finally:
        connection.close()
