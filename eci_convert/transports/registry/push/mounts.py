"""A blob of another repository of the registry becomes ours without being sent (distribution-spec v1.1.1, "Mounting a
blob from another repository").

Where it is, the source says, or an earlier run saw. A registry that does not mount begins an upload instead, in which
the blob is sent then, so that trying costs next to nothing.
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
_IGNORED = "mounts_ignored"
_ENOUGH = 2
"""Blobs that a host, which has them, did not mount: it does not mount."""


class BlobMounts:
    """What is mounted for one image. *is_there* asks the registry whether we have a blob by now.

    Places that turn out to be of no use are forgotten once something was written (`settle`): who may not write at all
    has learnt nothing about them.
    """

    def __init__(self, client: RegistryClient, is_there: Callable[[Digest], bool]) -> None:
        self._client = client
        self._is_there = is_there
        self._lock = threading.Lock()
        self._begun: dict[Digest, UploadSession] = {}
        self._mounted: dict[Digest, str] = {}
        self._useless: dict[tuple[str, Digest | None], None] = {}

    def mount(self, blob: Descriptor) -> bool:
        """Whether *blob* was mounted, or in a rehearsal whether it could be.

        What goes wrong here is no reason to give up: who turns us away does so again when we write.
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
                self._useless[repository, None] = None
                continue
            except TransportError:
                granted = False
            if granted:
                self._note(0)
                self._mounted[blob.digest] = repository
                self._client.whereabouts.record(blob.digest, repository, blob.size)
                return True
            if self._holds(repository, blob.digest):
                self._note(1)
                return False
            self._useless[repository, blob.digest] = None
        return False

    def begin(self, digest: Digest | None) -> UploadSession:
        """The session in which a blob is sent: the one that was begun instead of a mount, or a new one."""
        with self._lock:
            begun = self._begun.pop(digest, None) if digest else None
        return begun or UploadSession.start(self._client)

    def commit(self) -> None:
        """The image is there."""
        for repository, digest in self._useless:
            self._client.whereabouts.remove(repository, digest)

    def forget_all(self) -> None:
        """The registry lacks a blob of the image: none that was mounted can be believed in."""
        for digest, repository in self._mounted.items():
            self._client.whereabouts.remove(repository, digest)
            self._client.whereabouts.remove(self._client.reference.repository, digest)

    def close(self) -> None:
        """Calls off the uploads that were begun and not used."""
        with self._lock:
            begun, self._begun = self._begun, {}
        for session in begun.values():
            session.cancel()

    def _candidates(self, blob: Descriptor) -> list[str]:
        reference = self._client.reference
        told = mount_hints.repositories(reference, blob.annotations)
        names = dict.fromkeys((*told, *self._client.whereabouts.of(blob.digest)))
        useful = [name for name in names if name != reference.repository and (name, None) not in self._useless]
        return useful[:_MAX_TRIED]

    def _try_mount(self, digest: Digest, repository: str) -> bool:
        url = self._client.url("blobs/uploads/").with_query("mount", str(digest)).with_query("from", repository)
        patience = RetryBudget(min(_RETRIES, self._client.settings.retries), reporter=self._client.settings.reporter)
        with self._client.request(
            "POST", url, accept=(201, 202), scope=_scope(repository), patience=patience
        ) as answer:
            if answer.status == 202:
                self._keep(digest, UploadSession.from_response(self._client, answer))
                return False
            doubtful = _named(answer) not in ("", str(digest))
        return not doubtful or self._is_there(digest)

    def _keep(self, digest: Digest, session: UploadSession) -> None:
        with self._lock:
            other = self._begun.pop(digest, None)
            self._begun[digest] = session
        if other is not None:
            other.cancel()

    def _holds(self, repository: str, digest: Digest) -> bool:
        """Whether *repository* has the blob, for all that we may know."""
        url = self._client.base.at(f"/v2/{repository}/blobs/{digest}")
        try:
            with self._client.request(
                "HEAD", url, accept=(200, 404), scope=_scope(repository), patience=RetryBudget(0)
            ) as answer:
                return answer.status == 200
        except TransportError:
            return False

    @property
    def _unsupported(self) -> bool:
        times = self._client.host.get(_IGNORED)
        return isinstance(times, int) and times >= _ENOUGH

    def _note(self, more: int) -> None:
        """The host mounted a blob (0), or one more not."""
        with self._lock:
            known = self._client.host.get(_IGNORED)
            times = (known if isinstance(known, int) else 0) + more if more else 0
            if times != (known or 0):
                self._client.host.remember(**{_IGNORED: times})


def _scope(repository: str) -> str:
    return f"{PUSH} repository:{repository}:{PULL}"


def _named(answer: Response) -> str:
    """The digest by which the registry calls what it mounted; "" where it does not."""
    path = answer.header("Location").partition("?")[0]
    return answer.header("Docker-Content-Digest") or unquote(path.rpartition("/")[2])
