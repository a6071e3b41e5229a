"""A registry for tests that can be made to fail, in threads of the test's own process, on loopback.

Start it, and use it like any registry; on loopback eci-convert uses plain HTTP by default. `misbehave` orders a fault:
the next matching requests are carried out, and their responses changed. `seen` returns the requests received:

>>> import eci_convert as ec
>>> from eci_convert.testing import cut, run_registry, status
>>> with run_registry() as registry:
...     name = f"docker://{registry.host}/machine:1"
...     pushed = ec.push(ec.Machine(kernel=b"kernel"), name)
...     registry.misbehave("GET", "/manifests/", status(503))  # once
...     registry.misbehave("GET", "/blobs/", cut(3), times=2)  # the body ends after 3 bytes
...     report = ec.verify(name)
...     seen = [request.method for request in registry.seen("/manifests/1$")][1:]
>>> report.ok, seen, b"kernel" in registry.blobs.values()
(True, ['PUT', 'GET', 'GET'], True)

It implements the distribution-spec (v1.1.1) unless configured otherwise: chunked uploads with sessions that survive
lost connections, ranges, mounts, referrers, basic and bearer authentication. Contents are dicts that a test can change
(`registry.blobs`, `registry.manifests`); attributes set users and limits (`registry.users`, `registry.max_body`,
`registry.has_ranges`, ...: see `Behaviour`).

registry.py   FaultyRegistry, run_registry: HTTP, and the requests received
behaviour.py  Behaviour: the responses of a correct registry, from memory
faults.py     faults: functions that change a response
"""

from eci_convert.testing.faults import (
    Change,
    Reply,
    body,
    cut,
    delayed,
    dropped,
    echoes_authorization,
    header,
    raw,
    refusal,
    refuses_authorization,
    spoiled,
    spoils_upload,
    status,
    trickling,
    unheard,
)
from eci_convert.testing.registry import FaultyRegistry, Seen, run_registry

__all__ = [
    "Change",
    "FaultyRegistry",
    "Reply",
    "Seen",
    "body",
    "cut",
    "delayed",
    "dropped",
    "echoes_authorization",
    "header",
    "raw",
    "refusal",
    "refuses_authorization",
    "run_registry",
    "spoiled",
    "spoils_upload",
    "status",
    "trickling",
    "unheard",
]
