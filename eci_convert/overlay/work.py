"""How much memory and time the names of one image get."""

from __future__ import annotations

from typing import Final

from eci_convert.errors import LimitExceeded

MAX_ENTRIES: Final = 800_000
"""Entries in the layers of an image that are looked into."""
MAX_NODES: Final = 1_000_000
"""What becomes of them: a file counts as one, a directory as two, those that are only seen in longer names too."""
MAX_TEXT: Final = 96 << 20
"""Characters in all names and link targets of those."""
MAX_STEPS: Final = 12_000_000
"""Components of paths that are stepped over, in all lookups and layers."""
MAX_PATH: Final = 4096
"""Characters in one name or link target, as Linux has it."""
MAX_LINKS: Final = 40
"""Links that one lookup follows, as Linux has it."""


class Work:
    """What is left of the limits above, for one image. Every method raises LimitExceeded when it is used up."""

    def __init__(self) -> None:
        self._entries = MAX_ENTRIES
        self._nodes = MAX_NODES
        self._text = MAX_TEXT
        self._steps = MAX_STEPS

    def node(self, weight: int = 1) -> None:
        """One more node."""
        self._nodes -= weight
        if self._nodes < 0:
            raise LimitExceeded(f"the layers of the image have more than {MAX_NODES} files")

    def entry(self, name: str, linkname: str) -> None:
        """One more entry, and its texts."""
        self._entries -= 1
        if self._entries < 0:
            raise LimitExceeded(f"the layers of the image have more than {MAX_ENTRIES} entries")
        if len(name) > MAX_PATH or len(linkname) > MAX_PATH:
            raise LimitExceeded(
                f"a path of {max(len(name), len(linkname))} characters (limit {MAX_PATH}): {name[:80]!r}"
            )
        self._text -= len(name) + len(linkname)
        if self._text < 0:
            raise LimitExceeded(f"the names in the image are longer than {MAX_TEXT} characters")

    def steps(self, count: int = 1) -> None:
        """So many components are stepped over."""
        self._steps -= count
        if self._steps < 0:
            raise LimitExceeded("the links and directories of the image are too tangled to follow")
