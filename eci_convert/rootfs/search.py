"""Which entry of which layer a path is, and taking it when it goes by.

Told the entries of one layer after the other, the top layer first. A regular file is taken on suspicion where a path
that is looked for would be settled by it; whether it was the right one is known at the end of the layer, or lower down.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from eci_convert.errors import AmbiguousRoleError, EciError, FormatError, MissingPartError
from eci_convert.rootfs import (
    Budget,
    Directory,
    FileNode,
    Found,
    LayerTree,
    Lookup,
    MergedDirectory,
    Missing,
    Special,
    Stack,
    Undecided,
    components,
    resolve_symlink_writes,
)
from eci_convert.rootfs.consumer import FileConsumer
from eci_convert.tar import EntryType, TarEntry

ONLY_FILE = ""
"""Stands for the only regular file that there is."""

_LINKS = (EntryType.SYMLINK, EntryType.HARDLINK)
_MAX_RETHINKS = 1000  # links on the way to a wanted file, in one layer, that change what is taken while it passes


@dataclass(slots=True)
class _WantedPaths:
    """What is to be taken from a layer as it passes: *names*, all that is in *directories*, or the first file."""

    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    directories: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    first: bool = False
    _sorted: list[str] | None = None

    def add(self, path: str, name: str) -> None:
        """*path* is settled by what has *name*, or is in it if that ends in a slash."""
        if path == ONLY_FILE:
            self.first = True
        elif name.endswith("/"):
            self.directories[name[:-1]].append(path)
        else:
            self.names[name].append(path)

    def is_on_the_way(self, path: str) -> bool:
        """Whether what is wanted is at *path*, or below it."""
        if self._sorted is None:
            self._sorted = sorted({*self.names, *self.directories})
        for first in (path, path + "/"):
            at = bisect_left(self._sorted, first)
            if at < len(self._sorted) and (self._sorted[at] == path or self._sorted[at].startswith(path + "/")):
                return True
        return False


class Search:
    """A search for *paths*. One that ends in "/" is the only file in that directory; "" is the only file of all.

    Raises, from any method: CorruptStream and LimitExceeded for hostile layers, FormatError for what would have to be
    taken back and cannot.
    """

    def __init__(self, paths: Iterable[str], consumer: FileConsumer) -> None:
        self._paths = tuple(dict.fromkeys(paths))
        self._consumer = consumer
        self._stack = Stack(Budget())
        self.input = self._stack.work.metered
        """Makes of an archive one whose reading counts as effort; LimitExceeded is raised there too."""
        self._taken: dict[str, tuple[int, int, str]] = {}
        self._settled: dict[str, tuple[Found, FileNode]] = {}
        self._failed: dict[str, EciError] = {}

    def read(self, entries: Iterable[TarEntry], *, last: bool) -> bool:
        """Takes note of the next layer, *last* if there is none below it; whether all paths are settled then."""
        number = len(self._stack.layers)
        layer = LayerTree(self._stack.work)
        self._stack.layers.append(layer)
        wanted, rethinks = self._wanted(), 0
        for count, entry in enumerate(entries):
            path = layer.add(entry.name, entry.type, entry.linkname)
            if path is None:
                continue
            if entry.type is EntryType.FILE:
                self._take(self._paths_settled_by(wanted, path, number), entry, (number, count, path))
            elif entry.type in _LINKS and wanted.is_on_the_way(path) and rethinks < _MAX_RETHINKS:
                rethinks += 1
                wanted = self._wanted()
        self._stack.complete = last
        return self._try_to_settle()

    def missed_files(self) -> Mapping[int, Mapping[int, tuple[str, ...]]]:
        """Paths of files that went by untaken, by the number of the layer (0 is the top one) and that of the entry."""
        missed: dict[int, dict[int, tuple[str, ...]]] = defaultdict(dict)
        for path, (found, file) in self._settled.items():
            if self._taken.get(path, ())[:2] != (found.layer, file.entry):
                missed[found.layer][file.entry] = (*missed[found.layer].get(file.entry, ()), path)
        return missed

    def read_again(self, entries: Iterable[TarEntry], missed: Mapping[int, tuple[str, ...]], number: int) -> None:
        """Takes what was *missed* in layer *number*, whose *entries* pass once more."""
        for count, entry in enumerate(entries):
            if count in missed:
                self._take(missed[count], entry, (number, count, entry.name))

    def settled(self) -> Mapping[str, Found]:
        """Where each path was found. Raises the first of `failed`."""
        for error in self._failed.values():
            raise error
        return self.found()

    def found(self) -> Mapping[str, Found]:
        """Where those paths were found that were."""
        return {path: found for path, (found, _) in self._settled.items()}

    def failed(self) -> Mapping[str, EciError]:
        """Why the other paths are no regular files: MissingPart, AmbiguousRole for a directory with two files,
        FormatError for links that lead nowhere."""
        return self._failed

    def _wanted(self) -> _WantedPaths:
        wanted = _WantedPaths()
        for path in self._paths:
            answer = self._answer(path)
            if isinstance(answer, Undecided):
                wanted.add(path, answer.path)
        return wanted

    def _answer(self, path: str) -> Lookup:
        """What *path* is. An Unknown whose path ends in "/" depends on what more there is in that directory."""
        if path == ONLY_FILE:
            return self._only_file()
        found = self._stack.lookup(path)
        if not path.endswith("/") or isinstance(found, Missing):
            return found
        if isinstance(found, Undecided):
            return Undecided(found.path + "/")
        if not isinstance(found.node, MergedDirectory):
            return Missing(found.path + "/")
        if found.node.open:
            return Undecided(found.path + "/")
        names = found.node.names()
        return self._stack.lookup(f"{found.path}/{names[0]}") if len(names) == 1 else found

    def _only_file(self) -> Lookup:
        if not self._stack.complete:
            return Undecided("")
        found: list[Found] = []
        pending = [("", self._stack.layers[0].root)] if self._stack.layers else []
        while pending and len(found) < 2:
            where, directory = pending.pop()
            for name, node in directory.children.items():
                if isinstance(node, Directory):
                    pending.append((f"{where}{name}/", node))
                elif isinstance(node, FileNode):
                    found.append(Found(where + name, node))
        if len(found) > 1:
            return Found("", self._stack.root(0))
        return found[0] if found else Missing("")

    def _paths_settled_by(self, wanted: _WantedPaths, path: str, number: int) -> tuple[str, ...]:
        """Which paths the file at *path*, an entry of layer *number* that was just added, may settle."""
        found = wanted.names.get(path, [])
        others = wanted.directories.get(path.rpartition("/")[0], [])
        if wanted.first:
            others = [*others, ONLY_FILE]
        if not others:
            return tuple(found)
        answer = self._stack.lookup(path)
        if isinstance(answer, Found) and answer.layer == number:
            found = [*found, *(other for other in others if self._taken.get(other, (0, 0, path))[2] == path)]
        return tuple(found)

    def _take(self, paths: tuple[str, ...], entry: TarEntry, where: tuple[int, int, str]) -> None:
        if not paths:
            return
        for path in paths:
            if path in self._taken and not self._consumer.can_retake:
                raise FormatError(
                    f"{path or entry.name!r} occurs twice in the image; the first copy was already written to the output "
                    "and cannot be replaced"
                )
            self._taken[path] = where
        self._consumer.take(paths, entry.size, entry.chunks)

    def _try_to_settle(self) -> bool:
        """Whether it is known for good of every path what it is."""
        answers = {path: self._answer(path) for path in self._paths}
        if any(isinstance(answer, Undecided) for answer in answers.values()):
            return False
        if resolve_symlink_writes(self._stack, max(map(self._depth, answers.values()), default=0)):
            return False
        answers = {path: self._answer(path) for path in self._paths}
        if any(isinstance(answer, Undecided) for answer in answers.values()):
            return False
        for path, answer in answers.items():
            if isinstance(answer, Found) and isinstance(answer.node, FileNode):
                self._settled[path] = answer, answer.node
            else:
                self._failed[path] = _failure(path, answer)
        return True

    def _depth(self, answer: Lookup) -> int:
        """How many layers the answer depends on."""
        if isinstance(answer, Found) and not isinstance(answer.node, MergedDirectory):
            return answer.layer
        return len(self._stack.layers)


def _failure(path: str, answer: Lookup) -> EciError:
    """Why *answer* to *path* will not do."""
    match answer:
        case Found(node=Special(what=what, broken=True)):
            return FormatError(f"{path!r} is {what}")
        case Found(node=Special(what=what)):
            return MissingPartError(f"{path!r} is {what}, not a regular file")
        case _ if path == ONLY_FILE:
            if isinstance(answer, Missing):
                return MissingPartError("no file in the archive")
            return AmbiguousRoleError("the archive contains more than one file: name one of them")
        case Found(node=MergedDirectory() as view) if path.endswith("/"):
            names = sorted(view.names())
            if names:
                return AmbiguousRoleError(f"{path!r} contains more than one file: {names[0]!r} and {names[1]!r}")
            return MissingPartError(f"no file in {path!r}")
        case Found():
            return MissingPartError(f"{path!r} is a directory, not a regular file")
        case _ if components(path) != components(answer.path):
            return MissingPartError(f"{path!r} is a link to {answer.path!r}, which is not in the image")
        case _:
            return MissingPartError(f"{path!r} is not in the image")
