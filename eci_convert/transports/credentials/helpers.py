"""Programs that keep credentials: `docker-credential-NAME get` (github.com/docker/docker-credential-helpers)."""

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
from eci_convert.transports.credentials.go_json import decoded, member, members
from eci_convert.transports.settings import Settings

if TYPE_CHECKING:
    from typing import IO

TIME_LIMIT = 30.0
"""Seconds that a helper may take: some ask the user to unlock a key ring."""

_MAX_OUTPUT = 1024 * 1024
_POLL = 0.2  # seconds between two looks at whether the program is to stop
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_NOTHING_THERE = ("credentials not found", "no credentials", "specified item could not be found")


def ask(name: str, servers: Sequence[str], settings: Settings) -> Credential | None:
    """What the helper *name* knows of the first of *servers* that it knows: a registry under its several names. None
    where it knows nothing, or where it is broken, with a warning."""
    warned = partial(warn, settings.reporter)
    program = f"docker-credential-{name}"
    if not _NAME.fullmatch(name):
        warned(f"the credential helper {name!r} is not a program's plain name and is not run")
        return None
    path = _found(program, settings.environ)
    if path is None:
        warned(f"the credential helper {program!r} is not on PATH: going on without it")
        return None
    for server in servers:
        try:
            status, output = _run(path, server, settings)
        except subprocess.TimeoutExpired:
            limit = _limit(settings)
            warned(f"the credential helper {program!r} did not answer within {limit:g} s: going on without it")
            return None
        except OSError as error:
            warned(f"the credential helper {program!r} cannot be run: {error.strerror or error}: going on without it")
            return None
        if status == 0:
            credential = _parsed(output, program)
            if credential is None:
                warned(f"the credential helper {program!r} said nothing sensible of {server!r}: going on without it")
            return credential
        if not any(words in output.decode(errors="replace").lower() for words in _NOTHING_THERE):
            warned(f"the credential helper {program!r} failed for {server!r} (exit {status}): going on without it")
            return None
    return None


def _found(program: str, environ: Mapping[str, str]) -> str | None:
    """Where *program* is. Relative entries of PATH depend on where one stands, so they do not count."""
    entries = [entry for entry in environ.get("PATH", os.defpath).split(os.pathsep) if Path(entry).is_absolute()]
    return which(program, path=os.pathsep.join(entries)) if entries else None


def _run(path: str, server: str, settings: Settings) -> tuple[int, bytes]:
    """The exit status and what was printed. Its stderr is not shown to anybody: nobody knows what it says."""
    with subprocess.Popen(
        [path, "get"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(settings.environ),
        start_new_session=True,
    ) as running:
        try:
            output = _talked(running, server.encode(), time.monotonic() + _limit(settings))
        except BaseException:
            # Its children hold the pipe open, so they go with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            raise
    return running.returncode, output


def _talked(running: subprocess.Popen[bytes], question: bytes, deadline: float) -> bytes:
    """What *running* prints when it is told *question*. Raises TimeoutExpired, and OSError where it does not stop."""
    stdin, stdout = cast("IO[bytes]", running.stdin), cast("IO[bytes]", running.stdout)
    with contextlib.suppress(BrokenPipeError), stdin:
        stdin.write(question)
    found, poll = bytearray(), select.poll()
    poll.register(stdout)
    while True:
        left = max(0.0, deadline - time.monotonic())
        if not poll.poll(min(left, _POLL) * 1000):
            interrupts.check()
            if left > _POLL:
                continue
            raise subprocess.TimeoutExpired(running.args, left)
        piece = os.read(stdout.fileno(), 64 * 1024)
        if not piece:
            running.wait(max(0.0, deadline - time.monotonic()))
            return bytes(found)
        found += piece
        if len(found) > _MAX_OUTPUT:
            raise OSError(errno.EMSGSIZE, "it says too much")


def _limit(settings: Settings) -> float:
    return min(TIME_LIMIT, settings.timeout)


def _parsed(output: bytes, program: str) -> Credential | None:
    try:
        answer = members(decoded(output))
    except (ValueError, RecursionError):
        return None
    username, secret = member(answer, "Username"), member(answer, "Secret")
    if not is_text(secret) or not (username == "" or is_text(username)):
        return None
    return Credential.of(username, secret, program)
