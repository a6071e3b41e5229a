"""Secrets out of what is said: user names and passwords in URLs, whoever repeats them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

_RUN = re.compile(r"[^\s\"'<>|`]+")
_DIGESTS = ("@sha256:", "@sha512:")
_HIDDEN = "***"
_SHORTEST = 4
"""Pieces of a password that are shorter stand in too many words by chance."""

_BARE = re.compile(r"(?:.*=)?([^\s/:@=\[]+):.+@(?:localhost|[^/@]*[.:][^/@]*)(?:/.*)?", re.DOTALL)
"""A user, a password and a host without a scheme: in a word of a command line, where `@` stands in paths too."""

_TRANSPORTS = frozenset({"oci", "oci-archive", "docker-archive", "docker-daemon", "containerd", "containers-storage"})

_BETWEEN = re.compile(r"[/:@?#\[\]]+")


def redacted(text: str, known: Iterable[str] = ()) -> str:
    """*text* without what stands between `//` and `@` in a URL, nor any of the *known* secrets.

    A digest behind an `@` is none of a user's names, and a name alone is no secret to ssh.

    >>> redacted("http://me:pw/x@proxy:3128 is no URL"), redacted("docker://r.io:5000/a@sha256:00")
    ('http://***@proxy:3128 is no URL', 'docker://r.io:5000/a@sha256:00')
    """
    if "@" in text:
        text = _RUN.sub(_without_userinfo, text)
    for secret in known:
        text = text.replace(secret, _HIDDEN)
    return text


def redacted_host(text: str) -> str:
    """An address of a service as users spell it, with or without a scheme, without its user name and password.

    >>> redacted_host("me:pw@127.0.0.1:2375"), redacted_host("ssh://me@host"), redacted_host("unix:///var/run/d.sock")
    ('***@127.0.0.1:2375', 'ssh://me@host', 'unix:///var/run/d.sock')
    """
    if "//" in text or "@" not in text:
        return redacted(text)
    return redacted(f"//{text}").removeprefix("//")


def secrets_in(environ: Mapping[str, str], words: Iterable[str] = ()) -> tuple[str, ...]:
    """The passwords in the URLs of *environ* and *words*, whole and in the pieces that a parser may make of them; the
    longest first.

    >>> secrets_in({}, ["robot:hunter2@r.io/x", "oci:layout:@7", "containers-storage:[overlay@/srv]x", "build@2/k"])
    ('hunter2',)
    """
    texts = [value for name, value in environ.items() if "://" in value or name.lower().endswith(("_proxy", "_host"))]
    found = set[str]()
    for text in (*texts, *filter(_may_hold_password, words)):
        for url in text.split():
            found.update(_passwords(url.partition("//")[2] or url))
    return tuple(sorted(found, key=len, reverse=True))


def _may_hold_password(word: str) -> bool:
    """Whether *word* of a command line is, or holds, a URL: most that have an `@` name a digest, an id or a file."""
    if "//" in word:
        return True
    bare = _BARE.fullmatch(word)
    return bare is not None and bare[1] not in _TRANSPORTS


def _passwords(rest: str) -> Iterable[str]:
    """Those in *rest*, what stands behind a URL's `//`."""
    info, at, host = rest.rpartition("@")
    if not at or host.startswith(("sha256:", "sha512:")):
        return
    user, colon, password = info.partition(":")
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
