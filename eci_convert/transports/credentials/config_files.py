"""Credential files: Docker's `config.json` and podman's `auth.json` (containers-auth.json(5))."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeGuard

from eci_convert.files.config_file import read_config_file
from eci_convert.transports.credentials.go_json import decode_json, member, members

_MAX_FILE = 4 * 1024 * 1024
_API_PATHS = ("", "v1", "v2")
_MEMBERS = ("username", "password", "auth", "identitytoken", "registrytoken")
_TOKEN_USER = "<token>"  # noqa: S105 - the name of a user who is a token

Warned = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A user name and password, or a token. *origin* is where it was found, for messages.

    *identity_token* is exchanged for bearer tokens (OAuth 2.0's refresh token); *registry_token* is a bearer token.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    origin: str = ""

    @classmethod
    def of(cls, username: str, password: str, origin: str) -> Self:
        """A user name and password; or the identity token that Docker's helpers store under the user name `<token>`."""
        if username == _TOKEN_USER:
            return cls(identity_token=password, origin=origin)
        return cls(username=username, password=password, origin=origin)

    @property
    def basic(self) -> str:
        """The value of a Basic Authorization header (RFC 7617, in UTF-8; invalid bytes are passed through)."""
        pair = f"{self.username}:{self.password}".encode(errors="surrogateescape")
        return f"Basic {base64.b64encode(pair).decode()}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that must not appear in any message."""
        values = (self.password, self.identity_token, self.registry_token, self.basic.removeprefix("Basic "))
        return tuple(filter(None, values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys under which a credential may be stored: *namespaces* as podman writes them, the longest first; and
    *hosts*."""

    namespaces: tuple[str, ...]
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthFile:
    """The content of one file. *store* is the helper for all registries, *helper_by_host* those for single ones."""

    origin: str
    auths: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    store: str = ""
    helper_by_host: Mapping[str, str] = field(default_factory=dict, hash=False)
    warned: Warned = field(repr=False, compare=False)

    @classmethod
    def read(cls, path: Path, warned: Warned, *, may_be_pipe: bool = False) -> Self | None:
        """The content of the file at *path*; None if it does not exist, or, after a warning, if it cannot be read.

        *may_be_pipe*: the user named it, for example with a shell's `<(command)`.
        """
        try:
            content = read_config_file(path, _MAX_FILE, may_be_pipe=may_be_pipe)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            warned(f"cannot read the credentials in {str(path)!r}: {error.strerror or error}")
            return None
        return cls.parse(content, str(path), warned)

    @classmethod
    def parse(cls, content: bytes, origin: str, warned: Warned) -> Self | None:
        """The parsed *content*; None, after a warning that does not repeat it, if it is malformed."""
        try:
            if len(content) > _MAX_FILE:
                raise ValueError("too long")
            data = decode_json(content)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            warned(f"credentials in {origin!r} are not a JSON object: ignored")
            return None
        helpers, store = members(member(data, "credHelpers")), member(data, "credsStore")
        return cls(
            origin=origin,
            auths=members(member(data, "auths")),
            store=store if isinstance(store, str) else "",
            helper_by_host={host: name for host, name in helpers.items() if isinstance(name, str) and name},
            warned=warned,
        )

    @property
    def helpers(self) -> bool:
        """Whether any helper is configured."""
        return bool(self.store or self.helper_by_host)

    def inline(self, keys: Keys) -> Credential | None:
        """The credential stored in the file itself, or None."""
        for key in (*keys.namespaces, *keys.hosts):
            credential = self._credential(key)
            if credential is not None:
                return credential
        for key in self.auths:
            if hostname(key) in keys.hosts:
                credential = self._credential(key)
                if credential is not None:
                    return credential
        return None

    def _credential(self, key: str) -> Credential | None:
        entry = members(self.auths.get(key))
        text = {name: value for name in _MEMBERS if is_text(value := member(entry, name))}
        username, password = text.get("username", ""), text.get("password", "")
        if "auth" in text:
            try:
                packed = text["auth"].replace("\r", "").replace("\n", "")  # ignored, as by Go's decoder
                pair = base64.b64decode(packed, validate=True).decode(errors="surrogateescape")
            except (binascii.Error, ValueError):
                self.warned(f"the credential for {key!r} in {self.origin!r} is not valid base64: ignored")
                pair = ""
            username, _, password = pair.partition(":")
            password = password.strip("\0")
        credential = Credential.of(username, password, self.origin)
        if "identitytoken" in text or "registrytoken" in text:
            credential = replace(
                credential,
                identity_token=text.get("identitytoken", credential.identity_token),
                registry_token=text.get("registrytoken", ""),
            )
        usable = (credential.username and credential.password) or credential.identity_token or credential.registry_token
        return credential if usable else None


def is_text(value: object) -> TypeGuard[str]:
    """Whether *value*, from JSON, is a non-empty string without lone surrogates."""
    return isinstance(value, str) and value != "" and value == value.encode(errors="ignore").decode()


def hostname(key: str) -> str:
    """The registry that one of Docker's keys refers to: old clients wrote `https://HOST/v1/`. "" for podman's
    namespaces.

    >>> hostname("https://registry.example:5000/v2/"), hostname("registry.example/team")
    ('registry.example:5000', '')
    """
    scheme, separator, rest = key.partition("://")
    host, _, path = (rest if separator else key).partition("/")
    if separator and scheme not in ("http", "https"):
        return ""
    return host if separator or path.strip("/") in _API_PATHS else ""
