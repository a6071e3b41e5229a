"""Images in containerd: `containerd:NAME[:TAG][@DIGEST]`, over its gRPC socket, in one namespace.

Docker's own containerd is one of those: its socket is containerd/containerd.sock below Docker's exec root, its
namespace `moby`. What is read or written is under a lease until we leave, so that the garbage collector does not take
it meanwhile; afterwards labels and an image record keep it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.transports.base import ContainerFiles, SourceTraits
from eci_convert.transports.containerd import content
from eci_convert.transports.containerd.gc_labels import labelled_referrers
from eci_convert.transports.containerd.images import resolve_name
from eci_convert.transports.containerd.lease import ContainerdSession
from eci_convert.transports.containerd.names import RecordName
from eci_convert.transports.settings import Settings


def open_source(rest: str, settings: Settings) -> ContainerdSource:
    """The image that *rest* names. Raises UsageError."""
    return ContainerdSource(RecordName.parse(rest), ContainerdSession(settings))


class ContainerdSource:
    """An image in containerd, to be read; leaving it ends *session*."""

    traits = SourceTraits()

    def __init__(self, name: RecordName, session: ContainerdSession) -> None:
        self._name = name
        self._session = session

    @property
    def origin(self) -> str:
        return f"containerd:{self._name.text}"

    def resolve(self) -> Descriptor:
        found = resolve_name(self._session.connection, self._name)
        self._session.lease.keep(found.digest)
        return found

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        self._session.lease.keep(blob.digest)
        with content.content_read(self._session.connection, blob.digest, skip) as chunks:
            yield () if blob.size and skip >= blob.size else chunks

    def filesystem(self) -> ContainerFiles | None:
        return None

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Those that were written beside it by us: of others containerd has no list."""
        self._session.lease.keep(subject)
        return labelled_referrers(self._session.connection, subject)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
