"""What keeps containerd's garbage collector away while we work: a lease that names the content in use.

A lease that its owner could not give back, having been killed, runs out by itself after a day.
"""

from __future__ import annotations

import threading
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from eci_convert.errors import NotFoundError
from eci_convert.oci.digest import Digest
from eci_convert.transports.containerd.connection import ContainerdConnection, connected
from eci_convert.transports.containerd.proto import containerd_pb2 as api
from eci_convert.transports.settings import Settings

_SERVICE = "/containerd.services.leases.v1.Leases/"
_LIFE = timedelta(hours=24)


class Lease:
    """A lease that is taken when there is first something to keep."""

    def __init__(self, connection: ContainerdConnection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._id = ""
        self._kept: set[Digest] = set()

    def keep(self, digest: Digest) -> None:
        """Protects the content *digest*, and what it refers to by its labels, whether it is there yet or not."""
        with self._lock:
            if digest in self._kept:
                return
            if not self._id:
                self._id = self._created()
            resource = api.Resource(id=str(digest), type="content")
            request = api.AddResourceRequest(id=self._id, resource=resource)
            self._connection.ask(f"{_SERVICE}AddResource", request, api.Empty, f"lease for {digest.short}")
            self._kept.add(digest)

    def release(self) -> None:
        """Gives the lease back; what no image refers to is garbage then."""
        with self._lock:
            if not self._id:
                return
            request = api.DeleteLeaseRequest(id=self._id)
            self._id = ""
            self._kept.clear()
        with suppress(NotFoundError):  # it ran out
            self._connection.ask(f"{_SERVICE}Delete", request, api.Empty, f"lease {request.id}")

    def _created(self) -> str:
        expires = (datetime.now(UTC) + _LIFE).strftime("%Y-%m-%dT%H:%M:%SZ")
        request = api.CreateLeaseRequest(
            id=f"eci-convert-{uuid.uuid4().hex}", labels={"containerd.io/gc.expire": expires}
        )
        answer = self._connection.ask(f"{_SERVICE}Create", request, api.CreateLeaseResponse, "a lease")
        return answer.lease.id


class ContainerdSession:
    """A connection and a lease, both from the first use until `close`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._open: tuple[ContainerdConnection, Lease] | None = None

    @property
    def connection(self) -> ContainerdConnection:
        return self._both()[0]

    @property
    def lease(self) -> Lease:
        return self._both()[1]

    def close(self) -> None:
        with self._lock:
            found, self._open = self._open, None
        if found:
            connection, lease = found
            try:
                lease.release()
            finally:
                connection.close()

    def _both(self) -> tuple[ContainerdConnection, Lease]:
        with self._lock:
            if self._open is None:
                connection = connected(self._settings)
                self._open = connection, Lease(connection)
            return self._open
