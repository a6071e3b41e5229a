"""A registry that misbehaves to order, in threads of your test's own process, on loopback.

Start it, and use it as any registry; on loopback eci-convert speaks plain HTTP by itself. Make it misbehave: the next
requests that suit are answered as they should be, and the answer is spoilt. Ask what it saw:

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

It keeps to the distribution-spec (v1.1.1) where it is not told otherwise: uploads in chunks with sessions that outlive
a broken connection, ranges, mounts, referrers, basic and bearer authentication. What it holds are dicts, for spoiling
(`registry.blobs`, `registry.manifests`); attributes say who may enter and which limits it has (`registry.users`,
`registry.max_body`, `registry.has_ranges`, ...: see `Behaviour`).

registry.py   FaultyRegistry, run_registry: HTTP, and the requests that were seen
behaviour.py  Behaviour: what a well-behaved registry answers, from memory
faults.py     what can be wrong with an answer
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
