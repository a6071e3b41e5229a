"""Removes secrets from messages: user names and passwords in URLs, also where an engine or a registry repeats them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

_RUN = re.compile(r"[^\s\"'<>|`]+")
_DIGESTS = ("@sha256:", "@sha512:")
_HIDDEN = "***"
_SHORTEST = 4
"""Characters. Shorter pieces of a password occur in too many words by chance."""

_LOCAL = frozenset({"oci", "oci-archive", "docker-archive", "docker-daemon", "containerd", "containers-storage"})
"""Transports whose references have no `//` and no password."""

_BARE = re.compile(r"(?:.*=)?([^\s/:@=\[]+):.+@(?:localhost|[^/@]*[.:][^/@]*)(?:/.*)?", re.DOTALL)
"""User, password and host without a scheme, in a word of a command line: there `@` occurs in paths too."""

_BETWEEN = re.compile(r"[/:@?#\[\]]+")


def redacted(text: str, known: Iterable[str] = ()) -> str:
    """*text* without the user information in its URLs (between `//` and `@`), and without the *known* secrets.

    The `@` of a digest does not end user information, and the user name of an ssh:// URL is not a secret.

    >>> redacted("http://me:pw/x@proxy:3128 is no URL"), redacted("docker://r.io:5000/a@sha256:00")
    ('http://***@proxy:3128 is no URL', 'docker://r.io:5000/a@sha256:00')
    """
    if "@" in text:
        text = _RUN.sub(_without_userinfo, text)
    for secret in known:
        text = text.replace(secret, _HIDDEN)
    return text


def redacted_host(text: str) -> str:
    """The address of a service, with or without a scheme, without its user name and password.

    >>> redacted_host("me:pw@127.0.0.1:2375"), redacted_host("ssh://me@host"), redacted_host("unix:///var/run/d.sock")
    ('***@127.0.0.1:2375', 'ssh://me@host', 'unix:///var/run/d.sock')
    """
    if "//" in text or "@" not in text:
        return redacted(text)
    return redacted(f"//{text}").removeprefix("//")


def secrets_in(environ: Mapping[str, str], words: Iterable[str] = ()) -> tuple[str, ...]:
    """The passwords in the URLs of *environ* and of *words*, the command line: whole, and in the pieces that a parser
    may split them into; the longest first.

    >>> secrets_in({}, ["me:hunter2@r.io/x", "oci:/srv/vm@2:x", "containers-storage:[overlay@/srv]x", "build@2/k"])
    ('hunter2',)
    """
    values = [value for name, value in environ.items() if "://" in value or name.lower().endswith(("_proxy", "_host"))]
    texts = (*values, *filter(_may_hold_password, words))
    secrets = {secret for text in texts for url in text.split() for secret in _passwords(url)}
    return tuple(sorted(secrets, key=len, reverse=True))


def _may_hold_password(word: str) -> bool:
    """Whether *word* of a command line may contain a URL with a password: most words with `@` are references with a
    digest, ids or files."""
    if "//" in word:
        return True
    bare = _BARE.fullmatch(word)
    return bare is not None and bare[1] not in _LOCAL


def _passwords(url: str) -> Iterator[str]:
    """The password in *url*, whole and in pieces; or the user name, which may be a token, if there is none."""
    before, slashes, rest = url.partition("//")
    info, at, host = (rest if slashes else url).rpartition("@")
    user, colon, password = info.partition(":")
    if not at or host.startswith(("sha256:", "sha512:")) or (before.endswith("ssh:") and not colon):
        return
    secret = password if colon else user
    for text in (secret, unquote(secret)):
        yield from (piece for piece in (text, *_BETWEEN.split(text)) if len(piece) >= _SHORTEST)


def _without_userinfo(match: re.Match[str]) -> str:
    run = match[0]
    before, slashes, rest = run.partition("//")
    at = rest.rfind("@")
    while at >= 0 and rest.startswith(_DIGESTS, at):
        at = rest.rfind("@", 0, at)
    if not slashes or at < 0 or (before.endswith("ssh:") and ":" not in rest[:at]):
        return run
    return f"{before}//{_HIDDEN}{rest[at:]}"
