"""BuildRequest: what to build, for any builder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eci_convert.docker_build.dockerfile import SCRATCH, render
from eci_convert.docker_build.dockerfile.staging import check_context
from eci_convert.errors import LimitExceededError, LocalError, NotFoundError, UsageError
from eci_convert.model import Artifact
from eci_convert.oci.platform import Platform
from eci_convert.oci.reference import Reference

_MAX_DOCKERFILE = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """An image called *name* (an archive's may have none): of *artifact*, on *base*; or of the user's Dockerfile
    *file*, whose build context is the folder *context*.

    *created* is in seconds since 1970 and is every time that the builder lets us choose. Raises UsageError for what
    contradicts itself.
    """

    name: str = ""
    artifact: Artifact | None = None
    base: str = SCRATCH
    file: Path | None = None
    context: Path | None = None
    platforms: tuple[Platform, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    created: int = 0

    def __post_init__(self) -> None:
        if self.name and Reference.parse(self.name).digest:
            raise UsageError(f"{self.name!r}: an image is built under a name and a tag, not under a digest")
        if (self.artifact is None) == (self.file is None):
            raise UsageError("an image is built of parts, or of a Dockerfile: of one of the two")
        if self.file and self.base != SCRATCH:
            raise UsageError("a Dockerfile says itself which image it starts from")
        if self.context and not self.file:
            raise UsageError("a context is of use to a Dockerfile only, and there is none")

    @property
    def reference(self) -> str:
        """The name as Docker shows it, with its tag."""
        return Reference.parse(self.name).familiar

    @property
    def folder(self) -> Path:
        """The context of a Dockerfile of the user's: by default the folder that it is in."""
        return self.context or (self.file.parent if self.file else Path())

    def dockerfile(self, sources: Mapping[str, str]) -> str:
        """The Dockerfile: the user's, or one for parts that lie at *sources*. The labels asked for are not in it: a
        builder is told of them in a way that holds any text."""
        if self.artifact is not None:
            return render(self.artifact, sources, base=self.base)
        if self.file is None:
            raise TypeError("a build without parts and Dockerfile")
        check_context(self.folder)
        try:
            with self.file.open("rb") as file:
                text = file.read(_MAX_DOCKERFILE + 1)
        except FileNotFoundError as error:
            raise NotFoundError(f"no such file: {str(self.file)!r}") from error
        except OSError as error:
            raise LocalError(f"{str(self.file)!r} cannot be read: {error.strerror or error}") from error
        if len(text) > _MAX_DOCKERFILE:
            raise LimitExceededError(f"more than {_MAX_DOCKERFILE} bytes", where=str(self.file))
        return text.decode(errors="surrogateescape")
