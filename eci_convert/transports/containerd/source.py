"""Images in containerd: `containerd:NAME[:TAG][@DIGEST]`, over its gRPC socket, in one namespace.

Docker's own containerd is one of those: its socket is containerd/containerd.sock below Docker's exec root, its
namespace `moby`. A lease protects everything read or written until the source is closed; afterwards labels and an image
record do.
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
    """An image in containerd, read; leaving it ends *session*."""

    traits = SourceTraits()

    def __init__(self, name: RecordName, session: ContainerdSession) -> None:
        self._name = name
        self._session = session

    @property
    def origin(self) -> str:
        return f"containerd:{self._name.text}"

    def resolve(self) -> Descriptor:
        target = resolve_name(self._session.connection, self._name)
        self._session.lease.keep(target.digest)
        return target

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        self._session.lease.keep(blob.digest)
        with content.read_content(self._session.connection, blob.digest, skip) as chunks:
            yield () if blob.size and skip >= blob.size else chunks

    def filesystem(self) -> ContainerFiles | None:
        return None

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """The referrers written by us: containerd has no list of others."""
        self._session.lease.keep(subject)
        return labelled_referrers(self._session.connection, subject)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
