"""Whom to believe, and who we are, in TLS: the system's authorities, the user's flags, and Docker's `certs.d`."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

from eci_convert.errors import LocalError, UsageError
from eci_convert.files.home import home
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.settings import Settings

_SYSTEM_FOLDERS = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))


def context(url: Url, settings: Settings, registry: Url) -> ssl.SSLContext:
    """The TLS context for *url*, met while speaking to *registry*.

    An authority that the user named, or put into the registry's `certs.d`, counts everywhere (a token server of one's
    own, a store behind a redirect, a proxy that opens TLS), as it does for docker; client certificates and `--insecure`
    are for the registry itself.

    What is put there is believed as Go and curl believe it: an intermediate authority, or the server's own certificate,
    whatever signed it, and without the extensions that Python 3.13 insists on.

    Raises UsageError, LocalError.
    """
    made = ssl.create_default_context()
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    made.verify_flags = (made.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT
    if settings.ca_file:
        _trust(made, Path(settings.ca_file))
    itself = (url.host, url.port) == (registry.host, registry.port)
    for folder in folders(registry, settings):
        _use(made, folder, itself=itself)
    if not itself:
        return made
    if settings.cert_file:
        _identify(made, settings.cert_file, settings.key_file)
    elif settings.key_file:
        raise UsageError("--key-file needs --cert-file")
    if settings.insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def folders(registry: Url, settings: Settings) -> Iterator[Path]:
    """The `certs.d` folders of a registry that exist, the user's own first."""
    environ = settings.environ
    own = home(environ)
    config = environ.get("XDG_CONFIG_HOME") or (f"{own}/.config" if own else "")
    mine = (Path(config, "containers/certs.d"), Path(config, "docker/certs.d")) if config else ()
    host = f"[{registry.host}]" if ":" in registry.host else registry.host
    names = {registry.authority: None, f"{host}:{registry.port}": None}
    for parent in (*mine, *_SYSTEM_FOLDERS):
        for name in names:
            if os.path.isdir(parent / name):  # below a folder that is closed to us there is none
                yield parent / name


def _use(made: ssl.SSLContext, folder: Path, *, itself: bool) -> None:
    """Takes `*.crt` as authorities, and for the registry *itself* `X.cert` with `X.key` as who we are (docs.docker.com,
    "certificates")."""
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise LocalError(f"{str(folder)!r} cannot be read: {error.strerror or error}") from error
    for file in files:
        if file.suffix == ".crt":
            _trust(made, file)
        elif file.suffix == ".cert" and itself:
            key = file.with_suffix(".key")
            if not os.path.exists(key):
                raise LocalError(f"{str(file)!r} is there without {key.name!r}")
            _identify(made, str(file), str(key))


def _trust(made: ssl.SSLContext, file: Path) -> None:
    try:
        made.load_verify_locations(cafile=file)
    except (OSError, ssl.SSLError) as error:
        raise LocalError(f"{str(file)!r} holds no certificate authority that can be read: {_reason(error)}") from error


def _identify(made: ssl.SSLContext, cert: str, key: str) -> None:
    """A key with a passphrase is refused: there is nobody to ask."""
    try:
        made.load_cert_chain(cert, key or None, password=_no_passphrase)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise LocalError(f"the client certificate {cert!r} cannot be used: {_reason(error)}") from error


def _no_passphrase() -> str:
    raise ValueError("its key has a passphrase")


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
