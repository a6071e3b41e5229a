"""A command line as one text, and as a list of words.

A kernel parts its text at spaces, and double quotes protect those of a value: `param="spaces in here"` (Linux,
Documentation/admin-guide/kernel-parameters). Linux has no way to say a double quote itself; for Unikraft, which knows
single quotes too (lib/ukargparse), it stands in those.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_QUOTE = '"'
_QUOTED_QUOTE = '"\'"\'"'
"""The end of what is quoted, a double quote in single ones, and the beginning of what goes on."""

_OPENED = rf'"(?>(?:{_QUOTED_QUOTE}|[^"])*)'
_CLOSED = re.compile(f'{_OPENED}"')
_TOKEN = re.compile(rf'(?>(?:[^" ]|{_OPENED}(?:"|\Z))*)')


def join_command_line(words: Sequence[str]) -> str:
    """The text of *words*. A word whose spaces are all within quotes of its own is left as it is.

    >>> join_command_line(["quiet", "greeting=hello world", 'init="/bin/a b"'])
    'quiet greeting="hello world" init="/bin/a b"'
    """
    return " ".join(_quote(word, last=at == len(words)) for at, word in enumerate(words, 1))


def split_command_line(text: str) -> list[str]:
    """The words of *text*, of which `join_command_line` makes that very text again.

    >>> split_command_line('quiet greeting="hello world"')
    ['quiet', 'greeting=hello world']
    """
    tokens = _tokens(text)
    return [_unquote(token, last=at == len(tokens)) for at, token in enumerate(tokens, 1)]


def _tokens(text: str) -> list[str]:
    """*text*, parted at each space that is not within quotes; the last of which may be missing."""
    tokens, at = [_token(text, 0)], 0
    while (at := at + len(tokens[-1]) + 1) <= len(text):
        tokens.append(_token(text, at))
    return tokens


def _token(text: str, at: int) -> str:
    match = _TOKEN.match(text, at)
    return match[0] if match else ""


def _quote(word: str, *, last: bool) -> str:
    if _token(word, 0) == word and (last or _QUOTE not in _CLOSED.sub("", word)):
        return word
    name, equals, value = word.partition("=")
    if not equals or " " in name or _QUOTE in name:
        name, equals, value = "", "", word
    return f"{name}{equals}{_QUOTE}{value.replace(_QUOTE, _QUOTED_QUOTE)}{_QUOTE}"


def _unquote(token: str, *, last: bool) -> str:
    """The word of *token*: without its quotes, if they are those that `_quote` adds."""
    name, _, quoted = token.partition(_QUOTE)
    word = name + quoted[:-1].replace(_QUOTED_QUOTE, _QUOTE)
    return word if _quote(word, last=last) == token else token
