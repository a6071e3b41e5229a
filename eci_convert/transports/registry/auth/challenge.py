"""WWW-Authenticate headers (RFC 9110 §11.6.1), parsed leniently."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

_MAX_LENGTH = 16384
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - the token of a grammar
_PIECE = re.compile(
    rf"""
        [\s,]+
        | (?P<name>{_TOKEN})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"?|(?P<bare>[^\s,"]*))
        | (?P<scheme>{_TOKEN})(?=[\s,]|$)
        | [^\s,]+
    """,
    re.VERBOSE | re.ASCII | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One authentication challenge. *scheme* and parameter names are lower case; of repeated parameters the first
    counts."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def without_scope(self) -> Challenge:
        """The challenge without its scope, for another resource than the one that was requested."""
        return replace(self, parameters={name: value for name, value in self.parameters.items() if name != "scope"})


def parse_challenges(headers: Sequence[str]) -> tuple[Challenge, ...]:
    """The challenges in all WWW-Authenticate *headers* of a response; malformed parts are skipped.

    >>> parse_challenges(['Bearer realm="https://a/t",service="r", Basic realm="x"'])[0].parameters["service"]
    'r'
    """
    return tuple(challenge for header in headers for challenge in _challenges(header[:_MAX_LENGTH]))


def _challenges(header: str) -> Iterator[Challenge]:
    scheme, parameters = "", dict[str, str]()
    for piece in _PIECE.finditer(header):
        if piece["scheme"]:
            if scheme:
                yield Challenge(scheme=scheme, parameters=parameters)
            scheme, parameters = piece["scheme"].lower(), {}
        elif piece["name"] and scheme:
            parameters.setdefault(piece["name"].lower(), _value(piece))
    if scheme:
        yield Challenge(scheme=scheme, parameters=parameters)


def _value(piece: re.Match[str]) -> str:
    quoted = piece["quoted"]
    return piece["bare"] or "" if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
