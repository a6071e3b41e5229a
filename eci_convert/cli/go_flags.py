"""Parses flags as cobra and pflag do, with their error messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from eci_convert.errors import UsageError

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A flag: *default* is its text, "true" or "false" for one that needs no value. Lists are texts with commas.

    *type_name* is what the help calls its type, where that is not its kind.
    """

    usage: str
    kind: Literal["string", "strings", "bool"] = "string"
    default: str = ""
    short: str = ""
    type_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFlags:
    """What was given: *values* has every flag, with its default where it was not given."""

    values: Mapping[str, tuple[str, ...]]
    arguments: tuple[str, ...]

    def text(self, name: str) -> str:
        """The value of the flag *name*, of several the last."""
        return self.values[name][-1]

    def flag(self, name: str) -> bool:
        """Whether the flag *name* is set."""
        return self.values[name][-1] in _TRUE

    def texts(self, name: str) -> tuple[str, ...]:
        """The values of the flag *name*, given once or several times, with commas between them or without."""
        return tuple(word for value in self.values[name] for word in value.split(",") if word)


def parse_flags(words: Sequence[str], flags: Mapping[str, Flag]) -> ParsedFlags:
    """*words*, in which flags and arguments may be mixed; nothing behind `--` is a flag. Raises UsageError."""
    given: dict[str, list[str]] = {}
    arguments: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            arguments += waiting
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if name not in flags:
                raise UsageError(f"unknown flag: --{name}")
            _set(given, name, flags[name], value if equals else None, waiting, f"--{name}")
        elif word.startswith("-") and word != "-":
            _short(given, word, flags, waiting)
        else:
            arguments.append(word)
    values = {name: tuple(given.get(name, (flag.default,))) for name, flag in flags.items()}
    return ParsedFlags(values=values, arguments=tuple(arguments))


def _short(given: dict[str, list[str]], word: str, flags: Mapping[str, Flag], waiting: list[str]) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        name = next((name for name, flag in flags.items() if flag.short == letter), None)
        if name is None:
            raise UsageError(f"unknown shorthand flag: {letter!r} in {word}")
        if letters.startswith("="):
            return _set(given, name, flags[name], letters[1:], waiting, f"{letter!r} in {word}")
        if flags[name].kind != "bool" and letters:
            return _set(given, name, flags[name], letters, waiting, f"{letter!r} in {word}")
        _set(given, name, flags[name], None, waiting, f"{letter!r} in {word}")
    return None


def _set(
    given: dict[str, list[str]], name: str, flag: Flag, value: str | None, waiting: list[str], spelling: str
) -> None:
    if flag.kind == "bool":
        value = "true" if value is None else value
        if value not in _TRUE | _FALSE:
            shown = f"-{flag.short}, --{name}" if flag.short else f"--{name}"
            reason = f'strconv.ParseBool: parsing "{value}": invalid syntax'
            raise UsageError(f'invalid argument "{value}" for "{shown}" flag: {reason}')
    elif value is None:
        if not waiting:
            raise UsageError(f"flag needs an argument: {spelling}")
        value = waiting.pop(0)
    given.setdefault(name, []).append(value)


def usage(flags: Mapping[str, Flag]) -> str:
    """The lines about *flags* in a help text."""
    spelt = {
        name: (f"  -{flag.short}, " if flag.short else "      ")
        + f"--{name}"
        + ("" if flag.kind == "bool" else f" {flag.type_name or flag.kind}")
        for name, flag in flags.items()
    }
    width = max(map(len, spelt.values()), default=0) + 3
    return "".join(f"{spelt[name].ljust(width)}{flag.usage}{_default(flag)}\n" for name, flag in sorted(flags.items()))


def _default(flag: Flag) -> str:
    if flag.default in ("", "false"):
        return ""
    return (
        f" (default {flag.default})" if flag.kind == "bool" or flag.default == "[]" else f' (default "{flag.default}")'
    )
