"""TLS contexts: the system's certificate authorities, the user's options, and Docker's `certs.d` directories."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from eci_convert.errors import LocalError, UsageError
from eci_convert.files.home import home
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.settings import Settings

_SYSTEM_FOLDERS = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))


def context(url: Url, settings: Settings, registry: Url) -> ssl.SSLContext:
    """The TLS context for *url*, requested on behalf of *registry*.

    CA certificates given by the user or found in the registry's `certs.d` apply to every server (token servers, stores
    behind redirects, proxies that intercept TLS), as with docker; client certificates and `--insecure` apply to the
    registry only.

    As with Go and curl, such a certificate may be an intermediate CA or the server's own certificate, whatever signed
    it, and may lack the extensions that Python 3.13 requires by default.

    Raises UsageError, LocalError.
    """
    tls_context = ssl.create_default_context()
    tls_context.minimum_version = ssl.TLSVersion.TLSv1_2
    tls_context.set_alpn_protocols(["http/1.1"])
    tls_context.verify_flags = (tls_context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT
    if settings.ca_file:
        _load_ca(tls_context, Path(settings.ca_file))
    is_registry = (url.host, url.port) == (registry.host, registry.port)
    for folder in folders(registry, settings):
        _load_directory(tls_context, folder, is_registry=is_registry)
    if not is_registry:
        return tls_context
    if settings.cert_file:
        _load_client_certificate(tls_context, settings.cert_file, settings.key_file)
    elif settings.key_file:
        error = UsageError("the key of a client certificate is of no use without the certificate")
        error.add_note("hint: --key-file needs --cert-file")
        raise error
    if settings.insecure:
        tls_context.check_hostname = False
        tls_context.verify_mode = ssl.CERT_NONE
    return tls_context


def folders(registry: Url, settings: Settings) -> Iterator[Path]:
    """The existing `certs.d` directories of a registry, the user's own first."""
    environ = settings.environ
    home_directory = home(environ)
    config = environ.get("XDG_CONFIG_HOME") or (f"{home_directory}/.config" if home_directory else "")
    user_folders = (Path(config, "containers/certs.d"), Path(config, "docker/certs.d")) if config else ()
    host = f"[{registry.host}]" if ":" in registry.host else registry.host
    names = {registry.authority: None, f"{host}:{registry.port}": None}
    for parent in (*user_folders, *_SYSTEM_FOLDERS):
        for name in names:
            if os.path.isdir(parent / name):  # False if a parent directory is not accessible
                yield parent / name


def _load_directory(tls_context: ssl.SSLContext, folder: Path, *, is_registry: bool) -> None:
    """Loads `*.crt` as CA certificates, and for the registry *is_registry* `X.cert` with `X.key` as client certificates
    (docs.docker.com, "certificates")."""
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise LocalError(f"{str(folder)!r} cannot be read: {error.strerror or error}") from error
    for file in files:
        if file.suffix == ".crt":
            _refuse_pipe(file)
            _load_ca(tls_context, file)
        elif file.suffix == ".cert" and is_registry:
            key = file.with_suffix(".key")
            if not os.path.exists(key):
                raise LocalError(f"{str(file)!r} has no matching {key.name!r}")
            _refuse_pipe(file)
            _refuse_pipe(key)
            _load_client_certificate(tls_context, str(file), str(key))


def _refuse_pipe(file: Path) -> None:
    """Raises LocalError for a pipe, which may have no writer. Opening a missing file fails later."""
    try:
        is_pipe = stat.S_ISFIFO(file.stat().st_mode)
    except OSError:
        return
    if is_pipe:
        raise LocalError(f"{str(file)!r} is a pipe, not a file")


def _load_ca(tls_context: ssl.SSLContext, file: Path) -> None:
    try:
        tls_context.load_verify_locations(cafile=file)
    except (OSError, ssl.SSLError) as error:
        raise LocalError(f"{str(file)!r} cannot be loaded as a CA certificate: {_reason(error)}") from error


def _load_client_certificate(tls_context: ssl.SSLContext, cert: str, key: str) -> None:
    """Loads a client certificate. An encrypted key is refused: there is no prompt for a passphrase."""
    try:
        tls_context.load_cert_chain(cert, key or None, password=_no_passphrase)
    except (OSError, ssl.SSLError, ValueError) as error:
        files = f"{cert!r} with the key {key!r}" if key else repr(cert)
        raise LocalError(f"cannot load the client certificate {files}: {_reason(error)}") from error


_REASONS: Final = {
    "PEM": "not a PEM certificate and its private key",
    "NO_CERTIFICATE_OR_CRL_FOUND": "it has no PEM certificate",
    "KEY_VALUES_MISMATCH": "the private key does not match the certificate",
}
"""What OpenSSL's names of errors mean; "PEM" is no name of its own."""


def _no_passphrase() -> str:
    raise ValueError("its private key is encrypted")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        name = error.reason or "PEM"  # Python gives none for a file without PEM in it
        return _REASONS.get(name, name)
    return getattr(error, "strerror", None) or str(error)
