"""A whole image as an engine saves it: original manifests, all layers, in one stream that is spooled on first use.

The format depends on the engine: an OCI layout since 25, before that Docker's own archive format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Lock
from types import TracebackType
from typing import Self

from eci_convert.errors import NotFoundError
from eci_convert.files.spool import Spool
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.progress import RECEIVING, waiting
from eci_convert.tasks import Task
from eci_convert.transports.base import ContainerFiles, Source, SourceTraits
from eci_convert.transports.docker_daemon.engine import Engine
from eci_convert.transports.layout.selector import ImageSelector
from eci_convert.transports.tar_store.reader import TarStore


class SavedImageSource:
    """The image *name*, called *origin* in messages."""

    def __init__(self, engine: Engine, name: str, origin: str) -> None:
        self._engine = engine
        self._name = name
        self._lock = Lock()
        self._spool: Spool | None = None
        self._archive: Source | None = None
        self.origin = origin

    @property
    def traits(self) -> SourceTraits:
        """Synthetic also if the engine saves a layout: the classic store generates its manifests while saving."""
        return SourceTraits(synthetic=not self._engine.keeps_images_in_containerd)

    def resolve(self) -> Descriptor:
        return self._open().resolve()

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        with ExitStack() as stack:
            try:
                chunks = stack.enter_context(self._open().fetch(blob, skip))
            except NotFoundError as error:
                raise self._missing_blob_error(blob) from error
            yield chunks

    def filesystem(self) -> ContainerFiles | None:
        return None

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        return self._open().referrers(subject)

    def close(self) -> None:
        """Frees the spool."""
        with self._lock:
            if self._archive is not None:
                self._archive.__exit__(None, None, None)
            if self._spool is not None:
                self._spool.close()
            self._archive = self._spool = None

    def _missing_blob_error(self, blob: Descriptor) -> NotFoundError:
        """Docker 25 to 28 with containerd's store: a pull skips layers that are unpacked already, even if they were
        compressed in another way (moby/moby#49784)."""
        error = NotFoundError(f"{self.origin}: docker save left out the blob {blob.digest}")
        error.add_note(
            "hint: read the image from its registry with docker://, or remove it from the engine and pull it again"
        )
        return error

    def _open(self) -> Source:
        with self._lock:
            if self._archive is None:
                self._archive = self._receive()
            return self._archive

    def _receive(self) -> Source:
        self._spool = Spool(self._engine.settings.environ)
        reporter = self._engine.settings.reporter
        with (
            Task(reporter, f"docker save {self._name}", None) as task,
            waiting(reporter, "the Docker engine to save the image"),
            self._engine.stream("/images/get", {"names": self._name}) as pieces,
        ):
            task.enter(RECEIVING, None)
            self._spool.append(task.counted(pieces))
        archive = TarStore(self.origin, self._engine.settings.environ, descriptor=self._spool.descriptor)
        with suppress(NotFoundError):
            if archive.size("oci-layout"):
                from eci_convert.transports.layout.archive import OciArchiveSource

                return OciArchiveSource(archive, ImageSelector(), self.origin)
        from eci_convert.transports.docker_archive.source import DockerArchiveSource

        return DockerArchiveSource(archive, ImageSelector(), self.origin)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Does nothing: it is closed with the source that it belongs to."""
