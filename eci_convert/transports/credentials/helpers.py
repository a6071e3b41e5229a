"""Credential helpers: `docker-credential-NAME get` (github.com/docker/docker-credential-helpers)."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, cast

from eci_convert.progress import warn
from eci_convert.streams import interrupts
from eci_convert.transports.credentials.config_files import Credential, is_text
from eci_convert.transports.credentials.go_json import decode_json, member, members
from eci_convert.transports.settings import Settings

if TYPE_CHECKING:
    from typing import IO

TIME_LIMIT = 30.0
"""Seconds that a helper may take: some prompt the user to unlock a keyring."""

_MAX_OUTPUT = 1024 * 1024
_POLL = 0.2  # seconds between checks for an interrupt
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_NOT_FOUND_MESSAGES = ("credentials not found", "no credentials", "specified item could not be found")


def get_from_helper(name: str, servers: Sequence[str], settings: Settings) -> Credential | None:
    """The credential that the helper *name* has for the first of *servers* that it knows: the names of one registry.
    None if it has none, or, after a warning, if it fails."""
    warned = partial(warn, settings.reporter)
    program = f"docker-credential-{name}"
    if not _NAME.fullmatch(name):
        warned(f"the credential helper {name!r} is not a valid name: not run")
        return None
    path = _program_path(program, settings.environ)
    if path is None:
        warned(f"the credential helper {program!r} was not found on PATH: continuing without it")
        return None
    for server in servers:
        try:
            status, output = _run(path, server, settings)
        except subprocess.TimeoutExpired:
            limit = _limit(settings)
            warned(f"the credential helper {program!r} timed out after {limit:g} s: continuing without it")
            return None
        except OSError as error:
            warned(f"the credential helper {program!r} cannot be run: {error.strerror or error}: continuing without it")
            return None
        if status == 0:
            credential = _parse(output, program)
            if credential is None:
                warned(
                    f"the credential helper {program!r} sent an invalid response for {server!r}: continuing without it"
                )
            return credential
        if not any(message in output.decode(errors="replace").lower() for message in _NOT_FOUND_MESSAGES):
            warned(
                f"the credential helper {program!r} failed for {server!r} (exit status {status}): continuing without it"
            )
            return None
    return None


def _program_path(program: str, environ: Mapping[str, str]) -> str | None:
    """The path of *program*. Relative entries of PATH are ignored, because they depend on the working directory."""
    entries = [entry for entry in environ.get("PATH", os.defpath).split(os.pathsep) if Path(entry).is_absolute()]
    return which(program, path=os.pathsep.join(entries)) if entries else None


def _run(path: str, server: str, settings: Settings) -> tuple[int, bytes]:
    """The exit status and standard output. Standard error is discarded: it may contain secrets."""
    with subprocess.Popen(
        [path, "get"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(settings.environ),
        start_new_session=True,
    ) as running:
        try:
            output = _communicate(running, server.encode(), time.monotonic() + _limit(settings))
        except BaseException:
            # Kill its children too: they hold the pipe open.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            raise
    return running.returncode, output


def _communicate(running: subprocess.Popen[bytes], request: bytes, deadline: float) -> bytes:
    """The output of *running* for the input *request*. Raises TimeoutExpired, and OSError if the output is too
    long."""
    stdin, stdout = cast("IO[bytes]", running.stdin), cast("IO[bytes]", running.stdout)
    with contextlib.suppress(BrokenPipeError), stdin:
        stdin.write(request)
    output, poll = bytearray(), select.poll()
    poll.register(stdout)
    while True:
        remaining = max(0.0, deadline - time.monotonic())
        if not poll.poll(min(remaining, _POLL) * 1000):
            interrupts.check()
            if remaining > _POLL:
                continue
            raise subprocess.TimeoutExpired(running.args, remaining)
        piece = os.read(stdout.fileno(), 64 * 1024)
        if not piece:
            running.wait(max(0.0, deadline - time.monotonic()))
            return bytes(output)
        output += piece
        if len(output) > _MAX_OUTPUT:
            raise OSError(errno.EMSGSIZE, "output too long")


def _limit(settings: Settings) -> float:
    return min(TIME_LIMIT, settings.timeout)


def _parse(output: bytes, program: str) -> Credential | None:
    try:
        fields = members(decode_json(output))
    except (ValueError, RecursionError):
        return None
    username, secret = member(fields, "Username"), member(fields, "Secret")
    if not is_text(secret) or not (username == "" or is_text(username)):
        return None
    return Credential.of(username, secret, program)
