"""The registry of `eci_convert.testing`, with the certificates of the tests."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path

from eci_convert.testing import FaultyRegistry, run_registry

CERTS = Path(__file__).parents[2] / "certs"


@contextlib.contextmanager
def a_registry(address: str = "127.0.0.1", *, cert: str = "", client_ca: str = "") -> Iterator[FaultyRegistry]:
    """A running registry; over TLS with `certs/CERT.pem`; where *client_ca*, for those alone who have a certificate."""
    tls = None
    if cert:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(CERTS / f"{cert}.pem")
        if client_ca:
            tls.load_verify_locations(CERTS / f"{client_ca}.pem")
            tls.verify_mode = ssl.CERT_REQUIRED
    with run_registry(address, tls=tls) as registry:
        yield registry
