"""Files of an image that a place keeps unpacked (the Docker engine), one at a time: no layer travels.

The engine follows links on the way to a file, inside the image. A link at the end of a path comes as a link and is
followed here. What `..` in it leads to depends on what the directories before it really are, so those are asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from eci_convert import content
from eci_convert.errors import AmbiguousRole, CorruptStream, LimitExceeded, MissingPart, NotFound, TransportError
from eci_convert.overlay import parts
from eci_convert.overlay.work import MAX_LINKS
from eci_convert.progress import SILENT, Reporter
from eci_convert.rootfs.consumer import Consumer, Settled
from eci_convert.streams import tar
from eci_convert.streams.tar import Entry, EntryType
from eci_convert.transports.base import Filesystem

_MOST = 100_000
"""Entries below one directory that are looked through for its only file."""
_TANGLED = "too many links"
"""Said by Docker, of any version, which has no other word for it (moby, FollowSymlinkInScope)."""


def from_engine(
    filesystem: Filesystem, paths: Collection[str], consumer: Consumer, reporter: Reporter = SILENT
) -> Mapping[str, Settled]:
    """Gives *consumer* the files that *paths* are. Raises as `layers.files`."""
    return {
        path: Settled(path=_Errand(filesystem, path, consumer, reporter).run(), layer=None)
        for path in dict.fromkeys(paths)
    }


class _Errand:
    """The way to one file, and the file; or to a directory first, whose only file it is."""

    def __init__(self, filesystem: Filesystem, path: str, consumer: Consumer, reporter: Reporter) -> None:
        self._filesystem = filesystem
        self._path = path
        self._consumer = consumer
        self._reporter = reporter
        self._links = 0
        self._wants_directory = path.endswith("/")

    def run(self) -> str:
        """Takes the file; where it was."""
        where, rest = list[str](), parts(self._path)[::-1]
        while True:
            if ".." not in rest:
                where, target = self._arrive([*where, *rest[::-1]])
                if target is None:
                    return "/".join(where)
                where, rest = self._turn(where, target)
            elif (part := rest.pop()) == "..":
                where = where[:-1]
            else:
                where, more = self._pass([*where, part])
                rest += more

    def _pass(self, where: list[str]) -> tuple[list[str], list[str]]:
        """Where to go on from, and what then, in reverse, after what is at *where*: a directory, or a link."""
        with self._first(where) as (entry, _):
            match entry.type:
                case EntryType.SYMLINK:
                    return self._turn(where, entry.linkname)
                case EntryType.DIR:
                    return where, []
                case _:
                    raise MissingPart(f"{self._path!r} leads through {where[-1]!r}, which is no directory")

    def _turn(self, link: list[str], target: str) -> tuple[list[str], list[str]]:
        """Where to go on from, and what then, in reverse, at a symbolic *link* to *target*."""
        self._links += 1
        if self._links > MAX_LINKS:
            raise LimitExceeded(f"more than {MAX_LINKS} symbolic links lead to {self._path!r}")
        if target.startswith("/"):
            return [], parts(target)[::-1]
        if ".." in parts(target):  # the directories on the way may be links themselves
            return [], [*parts(target)[::-1], *link[:-1][::-1]]
        return link[:-1], parts(target)[::-1]

    def _arrive(self, where: list[str]) -> tuple[list[str], str | None]:
        """Takes the file at *where*, or in it; or tells where a link is, and to what."""
        with self._first(where) as (entry, entries):
            match entry.type:
                case EntryType.SYMLINK:
                    return where, entry.linkname
                case EntryType.DIR if self._wants_directory:
                    self._wants_directory = False
                    return self._only_file(where, len(parts(entry.name)) + 1, entries)
                case EntryType.FILE if not self._wants_directory:
                    self._take(entry)
                    for _ in entries:
                        pass
                    return where, None
                case EntryType.DIR:
                    raise MissingPart(f"{self._path!r} is a directory, not a regular file")
                case _ if self._wants_directory:
                    raise MissingPart(f"there is no file in {self._path!r}")
                case _:
                    raise MissingPart(f"{self._path!r} is of type {entry.type}, not a regular file")

    def _only_file(self, where: list[str], depth: int, entries: Iterator[Entry]) -> tuple[list[str], str | None]:
        found: Entry | None = None
        for entry in entries:
            if entry.type is EntryType.DIR or len(parts(entry.name)) != depth:
                continue
            if found:
                raise AmbiguousRole(f"{self._path!r} holds more than one file: {found.name!r} and {entry.name!r}")
            found = entry
            if entry.type is EntryType.FILE:
                self._take(entry)
        if found is None:
            raise MissingPart(f"there is no file in {self._path!r}")
        if found.type not in (EntryType.FILE, EntryType.SYMLINK):
            raise MissingPart(f"{found.name!r} in {self._path!r} is of type {found.type}, not a regular file")
        link = found.linkname if found.type is EntryType.SYMLINK else None
        return [*where, parts(found.name)[-1]], link

    def _take(self, entry: Entry) -> None:
        self._reporter.started(self._path, entry.size)
        try:
            self._consumer.take((self._path,), entry.size, self._counted(entry.chunks))
        finally:
            self._reporter.finished(self._path)

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._reporter.advanced(self._path, len(chunk))
            yield chunk

    @contextmanager
    def _first(self, where: list[str]) -> Iterator[tuple[Entry, Iterator[Entry]]]:
        """What is at *where*, and the entries behind it."""
        try:
            with self._filesystem.fetch("/" + "/".join(where)) as chunks, content.threaded(chunks) as received:
                entries = tar.entries(received, limit=_MOST)
                entry = next(entries, None)
                if entry is None:
                    raise CorruptStream(f"the engine sends nothing for {self._path!r}")
                yield entry, entries
        except NotFound as error:
            raise MissingPart(f"{self._path!r} is not in the image") from error
        except TransportError as error:
            if _TANGLED in str(error):
                raise LimitExceeded(f"{self._path!r} is behind a loop of links") from error
            raise
