"""What goes wrong between us and an engine, as our errors: the SDK's, its HTTP library's, the engine's own words.

The engine says much in English alone; a sentence decides only which of our errors it is, never whether it is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any

from docker.errors import DockerException
from requests import exceptions as requests_errors
from urllib3 import exceptions as urllib3_errors

from eci_convert.errors import AccessDeniedError, EciError, IntegrityError, NotFoundError, TransportError, UsageError

_FOREIGN = (requests_errors.RequestException, urllib3_errors.HTTPError, HTTPException, DockerException)
_TIMEOUTS = (TimeoutError, requests_errors.Timeout, urllib3_errors.TimeoutError)
_NEVER_BEGAN = (FileNotFoundError, ConnectionRefusedError, urllib3_errors.NewConnectionError)


class Refused(TransportError):
    """The engine was reached, and answered with an error."""


_BY_STATUS: Mapping[int, type[EciError]] = {401: AccessDeniedError, 403: AccessDeniedError, 404: NotFoundError}
_BY_WORDS: tuple[tuple[re.Pattern[str], type[EciError]], ...] = (
    (re.compile(r"invalid reference format", re.IGNORECASE), UsageError),
    (re.compile(r"invalid diffid|wrong diff ?id|unexpected (commit )?digest", re.IGNORECASE), IntegrityError),
    (
        re.compile(r"access denied|unauthorized|authentication required|authorization failed", re.IGNORECASE),
        AccessDeniedError,
    ),
    (re.compile(r"no such image|manifest unknown|: not found$", re.IGNORECASE), NotFoundError),
)
_NOT_UNPACKED = re.compile(r"error unpacking image ", re.IGNORECASE)
_LONGEST = 500

NO_ENGINE_HINTS = (
    "start Docker, or say where it is with DOCKER_HOST=… or DOCKER_CONTEXT=…",
    "with podman: `systemctl --user start podman.socket`, or CONTAINER_HOST=…",
    "podman's images without any service: containers-storage:NAME (ECI_CONVERT_DEFAULT_TRANSPORT=containers-storage)",
)


@contextmanager
def translated_engine_errors(host: str, timeout: float) -> Iterator[None]:
    """What is asked of the engine at *host*, and nothing else, belongs in the block.

    *timeout* is the seconds of silence that it was allowed. Raises TransportError and AccessDenied.
    """
    try:
        yield
    except (*_FOREIGN, OSError, ValueError) as error:
        raise _ours(error, host, timeout) from error


def refused(status: int, said: str, what: str) -> EciError:
    """The error that an answer with *status* and the message *said* is."""
    kind = _BY_STATUS.get(status) or _by_words(said)
    if kind is TransportError:
        kind = Refused
    return kind(f"{what}: {one_line(said) or f'HTTP status {status}'}")


def raise_for_event(event: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """*event* of a stream. Raises the error that it tells of, if it does: the HTTP status was sent long before."""
    detail = event.get("errorDetail")
    said = (detail.get("message") if isinstance(detail, dict) else detail) or event.get("error")
    if not said and "errorDetail" not in event:
        return event
    raise _event_error(str(said or "it failed and does not say why"), what)


def raise_if_unpack_failed(event: Mapping[str, Any], what: str) -> None:
    """Raises the error that *event* of a load tells of in passing: an engine with containerd's store has the image by
    then, and cannot use it."""
    said = str(event.get("stream", ""))
    if _NOT_UNPACKED.match(said):
        raise _event_error(said, what)


def one_line(said: str) -> str:
    """*said* in one line that is fit to be shown.

    >>> one_line("no such image\\n\\n")
    'no such image'
    """
    line = " ".join("".join(character if character.isprintable() else " " for character in said).split())
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"


def _event_error(said: str, what: str) -> EciError:
    error = _by_words(said)(f"{what}: {one_line(said)}")
    if isinstance(error, IntegrityError):
        error.add_note("hint: `eci-convert verify --fix` writes such an image again, with right diff ids")
    return error


def _by_words(said: str) -> type[EciError]:
    return next((kind for words, kind in _BY_WORDS if words.search(said)), TransportError)


def _ours(error: Exception, host: str, timeout: float) -> EciError:
    below = _causes(error)
    root = next((found for found in below if isinstance(found, OSError) and found.errno is not None), error)
    if isinstance(root, PermissionError):
        return _hinted(
            AccessDeniedError(f"{host}: this user may not speak to the Docker engine"),
            "join the group `docker`, be root, or set DOCKER_HOST to an engine of your own",
        )
    if any(isinstance(found, _NEVER_BEGAN) for found in below):
        return _hinted(TransportError(f"{host}: no Docker engine answers: {_reason(root)}"), *NO_ENGINE_HINTS)
    if any(isinstance(found, _TIMEOUTS) for found in below):
        return _hinted(
            TransportError(f"{host}: the Docker engine has said nothing for {timeout:g} s"), "--timeout allows it more"
        )
    return TransportError(f"{host}: the Docker engine failed: {_reason(root)}")


def _hinted(error: EciError, *hints: str) -> EciError:
    for hint in hints:
        error.add_note(f"hint: {hint}")
    return error


def _causes(error: BaseException) -> list[BaseException]:
    """*error* and all that lies under it: the libraries put the system's error now into the arguments, now behind
    `reason`, now into the cause."""
    found: list[BaseException] = [error]
    for one in found:
        inner = (*one.args, getattr(one, "reason", None), one.__cause__, one.__context__)
        found.extend(each for each in inner if isinstance(each, BaseException) and each not in found)
    return found


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(str(error)) or type(error).__name__
