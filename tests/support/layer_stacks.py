"""Stacks of layers with colliding paths, for comparisons with an unpacker; and what keeps the files that are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from tests.support.reference_unpacker import DIR, FILE, SYMLINK, LayerEntry

NAMES = ["a", "b", "c"]
PATHS = ["/".join(words) for length in (1, 2, 3) for words in product(NAMES, repeat=length)]


class Basket:
    """Keeps what it is given, and how often."""

    def __init__(self, *, can_retake: bool = True) -> None:
        self.can_retake = can_retake
        self.files: dict[str, bytes] = {}
        self.taken: list[tuple[str, ...]] = []

    def take(self, paths: tuple[str, ...], size: int, chunks: Iterator[bytes]) -> None:
        data = b"".join(chunks)
        assert len(data) == size
        self.taken.append(paths)
        self.files.update(dict.fromkeys(paths, data))


def whiteout(path: str) -> LayerEntry:
    parent, _, name = path.rpartition("/")
    return LayerEntry(f"{parent}/.wh.{name}".lstrip("/"))


def distinct_files(layers: Sequence[Sequence[LayerEntry]]) -> list[list[LayerEntry]]:
    """*layers* with a content of its own for each file, and with entries for the directories that files are in."""
    complete = []
    for number, layer in enumerate(layers):
        directories: set[str] = set()
        full: list[LayerEntry] = []
        for count, entry in enumerate(layer):
            words = entry.name.split("/")
            for parent in ("/".join(words[:length]) for length in range(1, len(words))):
                full += [] if parent in directories else [LayerEntry(parent, DIR)]
                directories.add(parent)
            text = f"{number}.{count}" if entry.kind is FILE else entry.text
            full.append(LayerEntry(entry.name, entry.kind, text))
            directories = {name for name in directories if not f"{name}/".startswith(f"{entry.name}/")}
            directories |= {entry.name} if entry.kind in (DIR, SYMLINK) else set()
        complete.append(full)
    return complete
