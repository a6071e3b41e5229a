"""Patterns for paths, as in a shell: `*`, `?` and `[…]` match within one name, `**` across directories.

The paths come from an image and may be hostile: the time for one is proportional to its length. A regular expression
is fastest, but with several stars it can backtrack; long paths are then matched by an automaton that never does.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from math import factorial
from typing import Final

from eci_convert.errors import UsageError

_MAX_LENGTH: Final = 4096
_STEPS: Final = 1400
_COUNTED_STARS: Final = 8
_MAX_REMEMBERED: Final = 4096
_WILDCARDS: Final = re.compile(r"[*?[]")
_TOKENS: Final = re.compile(r"\*\*/?|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)
_STARS: Final = ("*", "**", "**/")
_SPECIAL_IN_CLASS: Final = re.compile(r"[\\\[\]^&~|]")
_ESCAPE: Final = r"\\\g<0>"


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A predicate for paths that match *pattern*; "" matches all. Raises UsageError for an invalid pattern.

    A pattern without a slash matches names in any directory; one without wildcards matches a file, or a directory and
    everything in it.
    """
    if not pattern:
        return lambda path: True
    if len(pattern) > _MAX_LENGTH:
        raise UsageError(f"a pattern of {len(pattern)} characters (limit {_MAX_LENGTH})")
    relative = pattern.removeprefix("./").strip("/")
    if not _WILDCARDS.search(pattern):
        return lambda path: path.strip("/") == relative or path.strip("/").startswith(relative + "/") or not relative
    tokens = _TOKENS.findall(relative)
    try:
        matches = _matcher(tokens)
    except re.error as error:
        raise UsageError(f"{pattern!r} is not a pattern: {error}") from error
    if "/" not in pattern:
        return lambda path: matches(path.rpartition("/")[2])
    return lambda path: matches(path.strip("/"))


def _matcher(tokens: list[str]) -> Callable[[str], bool]:
    """An expression with *stars* stars takes up to length**stars / factorial(stars) steps, which is allowed to be
    `_STEPS` steps for each character."""
    by_expression = _by_expression(tokens)
    stars = sum(map(tokens.count, _STARS))
    if stars < 2:
        return by_expression
    by_automaton = _by_automaton(tokens)
    longest = int((_STEPS * factorial(min(stars, _COUNTED_STARS))) ** (1 / (stars - 1)))
    return lambda text: by_expression(text) if len(text) <= longest else by_automaton(text)


def _by_expression(tokens: list[str]) -> Callable[[str], bool]:
    expression = re.compile("".join(map(_expression, tokens)), re.DOTALL)
    return lambda text: expression.fullmatch(text) is not None


def _expression(token: str) -> str:
    match token:
        case "**/":
            return "(?:[^/]+/)*"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
        case _ if len(token) > 1:
            negation, members = ("^", token[2:-1]) if token.startswith("[!") else ("", token[1:-1])
            return f"(?!/)[{negation}{_SPECIAL_IN_CLASS.sub(_ESCAPE, members)}]"
        case _:
            return re.escape(token)


def _by_automaton(tokens: list[str]) -> Callable[[str], bool]:
    """A matcher that follows all possible matches at once: bit N of *states* means that the first N tokens match."""
    stars, crossing, directories = (_positions(tokens, words) for words in (_STARS, ("**",), ("**/",)))
    within_name = stars & ~directories
    single = [(1 << place, re.compile(_expression(token))) for place, token in enumerate(tokens) if token not in _STARS]
    accepting: dict[str, int] = _PerCharacter(single)
    final = 1 << len(tokens)
    start = _skip_stars(1, stars)

    def matches(text: str) -> bool:
        states, in_directory = start, 0
        for character in text:
            following = (states & accepting[character]) << 1
            if character == "/":
                following |= (states & crossing) | in_directory
                in_directory = 0
            else:
                in_directory |= states & directories
                following |= states & within_name
            states = _skip_stars(following, stars)
            if not states | in_directory:
                return False
        return states & final != 0

    return matches


def _positions(tokens: list[str], words: tuple[str, ...]) -> int:
    return sum(1 << place for place, token in enumerate(tokens) if token in words)


def _skip_stars(states: int, stars: int) -> int:
    """*states*, and those behind the stars that follow them, since a star also matches nothing. The addition carries
    each state through its run of stars."""
    return states | (((states & stars) + stars) ^ stars)


class _PerCharacter(defaultdict[str, int]):
    """For each character the bits of the tokens that match it. A limited number of characters is remembered."""

    def __init__(self, single: list[tuple[int, re.Pattern[str]]]) -> None:
        super().__init__()
        self._single = single

    def __missing__(self, character: str) -> int:
        bits = sum(bit for bit, expression in self._single if expression.fullmatch(character))
        if len(self) < _MAX_REMEMBERED:
            self[character] = bits
        return bits
