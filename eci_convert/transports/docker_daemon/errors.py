"""Errors of the Docker engine, the SDK and its HTTP library, translated into ours.

The engine describes many errors in English only; its messages decide which of our errors is raised, never whether one
is.
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
_CANNOT_CONNECT = (FileNotFoundError, ConnectionRefusedError, urllib3_errors.NewConnectionError)


class Refused(TransportError):
    """The engine responded with an error."""


_BY_STATUS: Mapping[int, type[EciError]] = {401: AccessDeniedError, 403: AccessDeniedError, 404: NotFoundError}
_BY_MESSAGE: tuple[tuple[re.Pattern[str], type[EciError]], ...] = (
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
    "start Docker, or set its address with DOCKER_HOST=… or DOCKER_CONTEXT=…",
    "with podman: `systemctl --user start podman.socket`, or CONTAINER_HOST=…",
    "podman's images without any service: containers-storage:NAME (ECI_CONVERT_DEFAULT_TRANSPORT=containers-storage)",
)


@contextmanager
def translated_engine_errors(host: str, timeout: float) -> Iterator[None]:
    """Translates errors of requests to the engine at *host*, which are all that the block may contain.

    *timeout* is the one in effect, in seconds. Raises TransportError, AccessDeniedError.
    """
    try:
        yield
    except (*_FOREIGN, OSError, ValueError) as error:
        raise _translate(error, host, timeout) from error


def response_error(status: int, message: str, what: str) -> EciError:
    """The error for a response with *status* and the message *message*."""
    kind = _BY_STATUS.get(status) or _kind_for(message)
    if kind is TransportError:
        kind = Refused
    return kind(f"{what}: {engine_message(message) or f'HTTP status {status}'}")


def raise_for_event(event: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """*event* of a stream. Raises the error that it reports: the HTTP status was sent long before."""
    detail = event.get("errorDetail")
    message = (detail.get("message") if isinstance(detail, dict) else detail) or event.get("error")
    if not message and "errorDetail" not in event:
        return event
    raise _event_error(str(message or "unknown error"), what)


def raise_if_unpack_failed(event: Mapping[str, Any], what: str) -> None:
    """Raises the error that *event* of a load reports as progress: an engine with containerd's store keeps the image
    then, but cannot use it."""
    message = str(event.get("stream", ""))
    if _NOT_UNPACKED.match(message):
        raise _event_error(message, what)


def engine_message(message: str) -> str:
    """*message* as one printable line of limited length.

    >>> engine_message("no such image\\n\\n")
    'no such image'
    """
    line = " ".join("".join(character if character.isprintable() else " " for character in message).split())
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"


def _event_error(message: str, what: str) -> EciError:
    error = _kind_for(message)(f"{what}: {engine_message(message)}")
    if isinstance(error, IntegrityError):
        error.add_note("hint: `eci-convert verify --fix` rewrites the image with correct diff ids")
    return error


def _kind_for(message: str) -> type[EciError]:
    return next((kind for pattern, kind in _BY_MESSAGE if pattern.search(message)), TransportError)


def _translate(error: Exception, host: str, timeout: float) -> EciError:
    causes = _causes(error)
    root = next((cause for cause in causes if isinstance(cause, OSError) and cause.errno is not None), error)
    if isinstance(root, PermissionError):
        return _with_hint(
            AccessDeniedError(f"{host}: permission denied while connecting to the Docker engine"),
            "join the group `docker`, run as root, or set DOCKER_HOST to a rootless engine",
        )
    if any(isinstance(cause, _CANNOT_CONNECT) for cause in causes):
        return _with_hint(
            TransportError(f"{host}: cannot connect to the Docker engine: {_reason(root)}"), *NO_ENGINE_HINTS
        )
    if any(isinstance(cause, _TIMEOUTS) for cause in causes):
        return _with_hint(
            TransportError(f"{host}: timed out: no response from the Docker engine for {timeout:g} s"),
            "--timeout sets a longer one",
        )
    return TransportError(f"{host}: request to the Docker engine failed: {_reason(root)}")


def _with_hint(error: EciError, *hints: str) -> EciError:
    for hint in hints:
        error.add_note(f"hint: {hint}")
    return error


def _causes(error: BaseException) -> list[BaseException]:
    """*error* and all errors below it: libraries put the system's error into the arguments, into `reason`, or into the
    cause."""
    causes: list[BaseException] = [error]
    for cause in causes:
        inner = (*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__)
        causes.extend(nested for nested in inner if isinstance(nested, BaseException) and nested not in causes)
    return causes


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return engine_message(str(error)) or type(error).__name__
