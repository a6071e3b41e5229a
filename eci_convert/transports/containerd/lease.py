"""Leases, which protect blobs from containerd's garbage collector while we work.

A lease that was not released because its process was killed expires after a day.
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
    """A lease, created when the first blob is to be protected."""

    def __init__(self, connection: ContainerdConnection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._id = ""
        self._protected: set[Digest] = set()

    def keep(self, digest: Digest) -> None:
        """Protects the blob *digest* and the blobs its labels refer to, whether they exist yet or not."""
        with self._lock:
            if digest in self._protected:
                return
            if not self._id:
                self._id = self._create()
            resource = api.Resource(id=str(digest), type="content")
            request = api.AddResourceRequest(id=self._id, resource=resource)
            self._connection.call(f"{_SERVICE}AddResource", request, api.Empty, f"lease for {digest.short}")
            self._protected.add(digest)

    def release(self) -> None:
        """Deletes the lease; blobs that no image refers to may be collected then."""
        with self._lock:
            if not self._id:
                return
            request = api.DeleteLeaseRequest(id=self._id)
            self._id = ""
            self._protected.clear()
        with suppress(NotFoundError):  # it expired
            self._connection.call(f"{_SERVICE}Delete", request, api.Empty, f"lease {request.id}")

    def _create(self) -> str:
        expires = (datetime.now(UTC) + _LIFE).strftime("%Y-%m-%dT%H:%M:%SZ")
        request = api.CreateLeaseRequest(
            id=f"eci-convert-{uuid.uuid4().hex}", labels={"containerd.io/gc.expire": expires}
        )
        response = self._connection.call(f"{_SERVICE}Create", request, api.CreateLeaseResponse, "a lease")
        return response.lease.id


class ContainerdSession:
    """A connection and a lease, from the first use until `close`."""

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
            open_session, self._open = self._open, None
        if open_session:
            connection, lease = open_session
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
