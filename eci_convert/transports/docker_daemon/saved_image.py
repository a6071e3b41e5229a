"""A whole image as an engine saves it: real documents, all layers, one stream that is spooled when first asked for.

What comes depends on the engine: since 25 an OCI layout, before that an archive of Docker's own kind.
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
    """The image called *name*, which messages call *origin*."""

    def __init__(self, engine: Engine, name: str, origin: str) -> None:
        self._engine = engine
        self._name = name
        self._lock = Lock()
        self._spool: Spool | None = None
        self._archive: Source | None = None
        self.origin = origin

    @property
    def traits(self) -> SourceTraits:
        """Synthetic also where the engine saves a layout: the classic store makes its manifests while it saves."""
        return SourceTraits(synthetic=not self._engine.keeps_images_in_containerd)

    def resolve(self) -> Descriptor:
        return self._opened().resolve()

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        with ExitStack() as stack:
            try:
                chunks = stack.enter_context(self._opened().fetch(blob, skip))
            except NotFoundError as error:
                raise self._incomplete(blob) from error
            yield chunks

    def filesystem(self) -> ContainerFiles | None:
        return None

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        return self._opened().referrers(subject)

    def close(self) -> None:
        """Give the spool's room back."""
        with self._lock:
            if self._archive is not None:
                self._archive.__exit__(None, None, None)
            if self._spool is not None:
                self._spool.close()
            self._archive = self._spool = None

    def _incomplete(self, blob: Descriptor) -> NotFoundError:
        """Docker 25 to 28 with containerd's store: a pull leaves out layers that are unpacked already, if compressed in
        another way (moby/moby#49784)."""
        error = NotFoundError(f"{self.origin}: the Docker engine saves the image without its blob {blob.digest}")
        error.add_note(
            "hint: read the image from its registry with docker://, or remove it from the engine and pull it again"
        )
        return error

    def _opened(self) -> Source:
        with self._lock:
            if self._archive is None:
                self._archive = self._received()
            return self._archive

    def _received(self) -> Source:
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
        """Nothing: it is the source's that it belongs to, and goes with that."""
