"""Connection options of one side of a command that speaks to two places, and the passwords of both."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import click

from eci_convert.cli.param_types import Option, PathParam
from eci_convert.errors import LocalError, UsageError
from eci_convert.transports.settings import Settings

SIDES = {"src": "SRC", "dest": "DST"}
"""The prefix of a side's options, and what the side is called in help."""

_FLAGS = {
    "plain-http": "Speak plain HTTP to {}.",
    "insecure": "Do not check the certificate of {}.",
}
_FILES = {
    "ca-file": "Certificates to trust for {}.",
    "cert-file": "Our certificate for {}.",
    "key-file": "The key of our certificate for {}.",
    "authfile": "Credentials for {}.",
}
_TEXTS = {
    "address": ("SOCKET", "containerd's socket for {}."),
    "namespace": ("NAME", "The containerd namespace of {}."),
    "username": ("NAME", "Who to be at {}; with its password."),
}
_OVERRIDDEN = (*_FLAGS, *_FILES, "address", "namespace")
_MAX_PASSWORDS = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What was given of one side's login. *side* is "" for the options without a prefix."""

    side: str
    username: str
    from_stdin: bool

    @property
    def option(self) -> str:
        """The option that names the user."""
        return f"--{self.side}-username" if self.side else "--username"

    @property
    def variable(self) -> str:
        """The environment variable that holds the password."""
        return f"ECI_CONVERT_{self.side.upper()}_PASSWORD" if self.side else "ECI_CONVERT_PASSWORD"


def with_side_options(function: Callable[..., None]) -> Callable[..., None]:
    """Every connection option once more for each side, where it goes before the one for both."""
    for side, name in reversed(SIDES.items()):
        function = click.option(
            f"--{side}-password-stdin", cls=Option, is_flag=True, help=f"Read the password for {name} from a line of "
            "standard input; that for SRC comes first."
        )(function)  # fmt: skip
        for word, (metavar, text) in reversed(_TEXTS.items()):
            function = click.option(
                f"--{side}-{word}", cls=Option, default="", metavar=metavar, help=text.format(name)
            )(function)
        for word, text in reversed(_FILES.items()):
            kind = PathParam(str, may_be_empty=True)
            function = click.option(
                f"--{side}-{word}", cls=Option, type=kind, default="", metavar="FILE", help=text.format(name)
            )(function)
        for word, text in reversed(_FLAGS.items()):
            function = click.option(f"--{side}-{word}", cls=Option, is_flag=True, help=text.format(name))(function)
    return function


def side_settings(common: Settings, words: dict[str, Any]) -> tuple[Settings, Settings, bool]:
    """The settings of the source and of the destination: *common*, but for what *words* say of one; and whether one
    login serves both. Takes the options of sides and of logins out of *words*. Raises UsageError, LocalError.
    """
    logins = [_login(words, "")] + [_login(words, side) for side in SIDES if f"{side}_username" in words]
    passwords = _passwords(logins)
    common = replace(common, username=logins[0].username, password=passwords[""])
    if len(logins) == 1:
        return common, common, bool(common.username)
    both = []
    for login in logins[1:]:
        given = {name: words.pop(f"{login.side}_{name}") for name in (word.replace("-", "_") for word in _OVERRIDDEN)}
        if login.username:
            given |= {"username": login.username, "password": passwords[login.side]}
        kept = replace(common, key_file="") if given["cert_file"] else common
        both.append(replace(kept, **{name: value for name, value in given.items() if value}))
    shared = bool(common.username) and not any(login.username for login in logins[1:])
    return both[0], both[1], shared


def _login(words: dict[str, Any], side: str) -> Login:
    prefix = f"{side}_" if side else ""
    return Login(side=side, username=words.pop(f"{prefix}username"), from_stdin=words.pop(f"{prefix}password_stdin"))


def _passwords(logins: list[Login]) -> Mapping[str, str]:
    """The password of each side, "" where it has none. Standard input holds one, or one a line where several are
    read from it."""
    reading = [login for login in logins if login.from_stdin]
    for login in logins:
        if login.from_stdin and not login.username:
            raise UsageError(f"{_stdin(login)} has no effect without {login.option}")
        if login.username and not login.from_stdin and not os.environ.get(login.variable):
            raise UsageError(f"{login.option} needs a password: {_stdin(login)} or {login.variable}")
    lines = _read() if reading else ""
    read = [lines] if len(reading) == 1 else lines.splitlines()
    if len(read) < len(reading) or (len(reading) > 1 and not all(read[: len(reading)])):
        raise UsageError(f"standard input is to hold {len(reading)} passwords, one a line")
    password_by_side = {login.side: os.environ.get(login.variable, "") if login.username else "" for login in logins}
    return password_by_side | {login.side: text for login, text in zip(reading, read, strict=False)}


def _stdin(login: Login) -> str:
    return login.option.replace("username", "password-stdin")


def _read() -> str:
    try:
        text = sys.stdin.read(_MAX_PASSWORDS)
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"standard input cannot be read: {error}") from error
    if not text.strip("\r\n"):
        raise UsageError("--password-stdin was given, but standard input is empty")
    return text.rstrip("\r\n")
