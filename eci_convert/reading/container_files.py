"""Single files of an image that the Docker engine keeps unpacked, without transferring layers.

The engine resolves links on the way to a file, inside the image. A link at the end of a path is returned as a link and
followed here. `..` in its target depends on the types of the directories before it, so those are requested.

A container differs from its image: files that the engine adds or may hide do not count, and in case of doubt the layers
of the saved image are read. A missing or empty file may be the engine's own behind a link, so the directories on the
way are checked too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from eci_convert import tar
from eci_convert.errors import (
    AmbiguousRoleError,
    CorruptStreamError,
    LimitExceededError,
    MissingPartError,
    NotFoundError,
    TransportError,
    UnsupportedImageError,
)
from eci_convert.progress import NULL_REPORTER, RECEIVING, Reporter
from eci_convert.reading.images import load_image
from eci_convert.reading.layer_walk import walk_layers
from eci_convert.rootfs import components
from eci_convert.rootfs.consumer import FileConsumer, FileLocation
from eci_convert.rootfs.limits import MAX_LINKS
from eci_convert.rootfs.search import Search
from eci_convert.streams.threads import prefetched
from eci_convert.tar import EntryType, TarEntry
from eci_convert.tasks import Task
from eci_convert.transports.base import ContainerFiles, NotShown

_MOST = 100_000
"""Entries of one directory that are searched for its only file."""
_DOCKER_LOOP_MESSAGE = ("too many links", "too many levels of symbolic links")
"""Messages of all versions of Docker (moby, FollowSymlinkInScope) and of podman."""
_NO_DIRECTORY = "not a directory"
_TOO_LONG = "name too long"


def read_container_files(
    filesystem: ContainerFiles, paths: Collection[str], consumer: FileConsumer, reporter: Reporter = NULL_REPORTER
) -> Mapping[str, FileLocation]:
    """Passes the files *paths* to *consumer*. Raises as `read_files`."""
    settled: dict[str, FileLocation] = {}
    doubtful: list[str] = []
    for path in dict.fromkeys(paths):
        try:
            settled[path] = FileLocation(path=_PathWalk(filesystem, path, consumer, reporter).run(), layer=None)
        except NotShown:
            doubtful.append(path)
        except (UnsupportedImageError, LimitExceededError):
            if not filesystem.hides_files:
                raise
            doubtful.append(path)
    if doubtful:
        saved = filesystem.full_image()
        settled |= walk_layers(saved, load_image(saved), reporter, None).search(Search(doubtful, consumer))
    return settled


class _Doubtful(Exception):
    """The file shown, or missing, may be the engine's own: the directories on the way have to be checked."""


class _PathWalk:
    """The walk to one file, or to a directory whose only file it is."""

    def __init__(self, filesystem: ContainerFiles, path: str, consumer: FileConsumer, reporter: Reporter) -> None:
        self._filesystem = filesystem
        self._path = path
        self._consumer = consumer
        self._reporter = reporter
        self._links = 0
        self._wants_directory = path.endswith("/")
        self._careful = self._wants_directory
        self._follows = filesystem.follows_links

    def run(self) -> str:
        """Passes the file on; returns its path. Raises NotShown, before any data is passed on, if the layers have to be
        read."""
        try:
            return self._go()
        except _Doubtful:
            self._careful, self._links = True, 0
            return self._go()

    def _go(self) -> str:
        where, rest = list[str](), components(self._path)[::-1]
        while True:
            if ".." in rest and self._follows:
                raise NotShown(f"the engine follows links: cannot resolve .. in {self._path!r}")
            if ".." not in rest and (not self._careful or len(rest) < 2):
                where, target = self._open_target([*where, *rest[::-1]])
                if target is None:
                    return "/".join(where)
                where, rest = self._follow_link(where, target)
            elif (part := rest.pop()) == "..":
                where = where[:-1]
            else:
                where, more = self._enter([*where, part])
                rest += more

    def _enter(self, where: list[str]) -> tuple[list[str], list[str]]:
        """Where to continue, and the remaining components in reverse, after *where*: a directory or a link."""
        with self._first(where) as (entry, _):
            match entry.type:
                case EntryType.SYMLINK:
                    return self._follow_link(where, entry.linkname)
                case EntryType.DIR:
                    return where, []
                case _:
                    raise MissingPartError(f"{self._path!r} passes through {where[-1]!r}, which is not a directory")

    def _follow_link(self, link: list[str], target: str) -> tuple[list[str], list[str]]:
        """Where to continue, and the remaining components in reverse, at a symbolic *link* to *target*."""
        self._links += 1
        if self._links > MAX_LINKS:
            raise LimitExceededError(f"too many levels of symbolic links: {self._path!r}")
        if target.startswith("/"):
            return [], components(target)[::-1]
        if ".." in components(target):  # the directories on the way may be links themselves
            return [], [*components(target)[::-1], *link[:-1][::-1]]
        return link[:-1], components(target)[::-1]

    def _open_target(self, where: list[str]) -> tuple[list[str], str | None]:
        """Passes on the file at *where*, or in it; or returns the path of a link and its target."""
        with self._first(where, all_of_it=self._wants_directory) as (entry, entries):
            if not entry.size and entry.type is not EntryType.SYMLINK:
                self._check_way(where)
            match entry.type:
                case EntryType.SYMLINK:
                    return where, entry.linkname
                case EntryType.DIR if self._wants_directory:
                    self._wants_directory = False
                    return self._only_file(where, len(components(entry.name)) + 1, entries)
                case EntryType.FILE if not self._wants_directory:
                    self._take(entry)
                    for _ in entries:
                        pass
                    return where, None
                case EntryType.DIR:
                    raise MissingPartError(f"{self._path!r} is a directory, not a regular file")
                case _ if self._wants_directory:
                    raise MissingPartError(f"no file in {self._path!r}")
                case _:
                    raise MissingPartError(f"{self._path!r} is of type {entry.type}, not a regular file")

    def _only_file(self, where: list[str], depth: int, entries: Iterator[TarEntry]) -> tuple[list[str], str | None]:
        only: TarEntry | None = None
        for entry in entries:
            if entry.type is EntryType.DIR or len(components(entry.name)) != depth:
                continue
            if only:
                raise AmbiguousRoleError(
                    f"{self._path!r} contains more than one file: {only.name!r} and {entry.name!r}"
                )
            only = entry
            if entry.type is EntryType.FILE:
                self._take(entry)
        if only is None:
            raise MissingPartError(f"no file in {self._path!r}")
        if only.type not in (EntryType.FILE, EntryType.SYMLINK):
            raise MissingPartError(f"{only.name!r} in {self._path!r} is of type {only.type}, not a regular file")
        link = only.linkname if only.type is EntryType.SYMLINK else None
        return [*where, components(only.name)[-1]], link

    def _take(self, entry: TarEntry) -> None:
        with Task(self._reporter, self._path, entry.size) as task:
            task.enter(RECEIVING, entry.size)
            self._consumer.take((self._path,), entry.size, task.counted(entry.chunks))

    def _check_way(self, where: list[str]) -> None:
        """Raises _Doubtful unless it is known which directories on the way to *where* are links."""
        if len(where) > 1 and not self._careful:
            raise _Doubtful

    @contextmanager
    def _first(self, where: list[str], *, all_of_it: bool = False) -> Iterator[tuple[TarEntry, Iterator[TarEntry]]]:
        """The entry at *where*, and the entries behind it, all of them if *all_of_it*."""
        path = "/" + "/".join(where)
        if "\0" in path:
            raise MissingPartError(f"{self._path!r} is not in the image: NUL byte in a path")
        try:
            with (
                self._filesystem.fetch(path.rstrip("/") + "/" if all_of_it else path) as chunks,
                prefetched(chunks) as received,
            ):
                entries = tar.entries(received, limit=_MOST)
                entry = next(entries, None)
                if entry is None:
                    raise CorruptStreamError(f"the engine returned an empty archive for {self._path!r}")
                if where and components(entry.name) != where[-1:]:
                    raise NotShown(f"the engine returned {entry.name!r} instead of {path!r}")
                yield entry, entries
        except NotShown:
            raise
        except TransportError as error:
            raise self._image_error(error, where) from error

    def _image_error(self, error: TransportError, where: list[str]) -> Exception:
        """The error about the image for *error*, the engine's response for the path *where*."""
        message = str(error)
        if any(each in message for each in _DOCKER_LOOP_MESSAGE):
            return LimitExceededError(f"{self._path!r} is behind too many levels of symbolic links")
        if _TOO_LONG in message:
            return NotShown(message)
        if not isinstance(error, NotFoundError) and _NO_DIRECTORY not in message:
            return error
        if len(where) > 1 and not self._careful:
            return _Doubtful()
        return MissingPartError(f"{self._path!r} is not in the image")
