"""Mounts blobs from other repositories of the registry (distribution-spec v1.1.1, "Mounting a blob from another
repository").

Candidates come from the source and from earlier runs. A registry that does not mount opens an upload session instead,
which is used to send the blob, so that a failed attempt costs next to nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from urllib.parse import unquote

from eci_convert.errors import AccessDeniedError, TransportError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.transports.registry import mount_hints
from eci_convert.transports.registry.client import PULL, PUSH, RegistryClient
from eci_convert.transports.registry.http.response import Response
from eci_convert.transports.registry.http.retry import RetryBudget, TransientError
from eci_convert.transports.registry.push.session import UploadSession

_MAX_TRIED = 4
_RETRIES = 1
_FACT = "mounts_ignored"
_MAX_IGNORED = 2
"""Blobs that a host holds and did not mount, after which mounts are not tried any more."""


class BlobMounts:
    """The mounts for one image. *blob_exists*: whether the destination repository holds a blob.

    Locations that did not work are removed only after a manifest was pushed (`commit`): without write access, a failure
    says nothing about the location.
    """

    def __init__(self, client: RegistryClient, blob_exists: Callable[[Digest], bool]) -> None:
        self._client = client
        self._blob_exists = blob_exists
        self._lock = threading.Lock()
        self._sessions: dict[Digest, UploadSession] = {}
        self._mounted: dict[Digest, str] = {}
        self._failed_locations: dict[tuple[str, Digest | None], None] = {}

    def mount(self, blob: Descriptor) -> bool:
        """Whether *blob* was mounted; in a dry run, whether it could be.

        Errors are ignored here; if access is really denied, the upload that follows reports it.
        """
        for repository in () if self._unsupported else self._candidates(blob):
            if self._client.settings.dry_run:
                if self._holds(repository, blob.digest):
                    return True
                continue
            try:
                granted = self._try_mount(blob.digest, repository)
            except TransientError:
                return False
            except AccessDeniedError:
                self._failed_locations[repository, None] = None
                continue
            except TransportError:
                granted = False
            if granted:
                self._record_outcome(0)
                self._mounted[blob.digest] = repository
                self._client.blob_locations.record(blob.digest, repository, blob.size)
                return True
            if self._holds(repository, blob.digest):
                self._record_outcome(1)
                return False
            self._failed_locations[repository, blob.digest] = None
        return False

    def begin(self, digest: Digest | None) -> UploadSession:
        """The upload session for a blob: the one opened instead of a mount, or a new one."""
        with self._lock:
            session = self._sessions.pop(digest, None) if digest else None
        return session or UploadSession.start(self._client)

    def commit(self) -> None:
        """The image was pushed: removes locations that did not work."""
        for repository, digest in self._failed_locations:
            self._client.blob_locations.remove(repository, digest)

    def forget_all(self) -> None:
        """The registry lacks a blob of the image: removes the locations of all mounted ones."""
        for digest, repository in self._mounted.items():
            self._client.blob_locations.remove(repository, digest)
            self._client.blob_locations.remove(self._client.reference.repository, digest)

    def close(self) -> None:
        """Cancels the sessions that were opened and not used."""
        with self._lock:
            sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.cancel()

    def _candidates(self, blob: Descriptor) -> list[str]:
        reference = self._client.reference
        hints = mount_hints.repositories(reference, blob.annotations)
        names = dict.fromkeys((*hints, *self._client.blob_locations.of(blob.digest)))
        usable = [name for name in names if name != reference.repository and (name, None) not in self._failed_locations]
        return usable[:_MAX_TRIED]

    def _try_mount(self, digest: Digest, repository: str) -> bool:
        url = self._client.url("blobs/uploads/").with_query("mount", str(digest)).with_query("from", repository)
        budget = RetryBudget(min(_RETRIES, self._client.settings.retries), reporter=self._client.settings.reporter)
        with self._client.request("POST", url, accept=(201, 202), scope=_scope(repository), budget=budget) as response:
            if response.status == 202:
                self._store_session(digest, UploadSession.from_response(self._client, response))
                return False
            unconfirmed = _mounted_digest(response) not in ("", str(digest))
        return not unconfirmed or self._blob_exists(digest)

    def _store_session(self, digest: Digest, session: UploadSession) -> None:
        with self._lock:
            other = self._sessions.pop(digest, None)
            self._sessions[digest] = session
        if other is not None:
            other.cancel()

    def _holds(self, repository: str, digest: Digest) -> bool:
        """Whether *repository* holds the blob, as far as we may read it."""
        url = self._client.base.at(f"/v2/{repository}/blobs/{digest}")
        try:
            with self._client.request(
                "HEAD", url, accept=(200, 404), scope=_scope(repository), budget=RetryBudget(0)
            ) as response:
                return response.status == 200
        except TransportError:
            return False

    @property
    def _unsupported(self) -> bool:
        times = self._client.host.get(_FACT)
        return isinstance(times, int) and times >= _MAX_IGNORED

    def _record_outcome(self, more: int) -> None:
        """Updates the count of blobs not mounted: *more* added, or reset by 0."""
        with self._lock:
            count = self._client.host.get(_FACT)
            times = (count if isinstance(count, int) else 0) + more if more else 0
            if times != (count or 0):
                self._client.host.remember(**{_FACT: times})


def _scope(repository: str) -> str:
    return f"{PUSH} repository:{repository}:{PULL}"


def _mounted_digest(response: Response) -> str:
    """The digest in the response to a mount; "" without one."""
    path = response.header("Location").partition("?")[0]
    return response.header("Docker-Content-Digest") or unquote(path.rpartition("/")[2])
