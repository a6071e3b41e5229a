"""Prints an error as one line, and returns the exit code of its class."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import click

from eci_convert import errors
from eci_convert.cli import output, signals
from eci_convert.redaction import redacted, secrets_in
from eci_convert.streams import interrupts

BUG = 1
DIFFERENT = 10
"""`diff`: the images differ."""
INTERRUPTED = signals.INTERRUPTED

MEANINGS: dict[int, tuple[str, str]] = {
    0: ("done", ""),
    BUG: ("a bug in eci-convert", "report it"),
    2: ("the command makes no sense", "correct it"),
    3: ("a place could not be reached, or failed", "look at the network, the daemon"),
    4: ("no such image, tag, blob or file", "look at the name"),
    5: ("access denied", "log in"),
    6: ("the bytes are not the expected ones (digest, size, diff id)", "distrust the image"),
    7: ("malformed, hostile or over a limit", "tell its producer"),
    8: ("an image without what was asked for, or a place that cannot hold it", "try another dialect or format"),
    9: ("this computer: no space, no permission, a file in the way", "make room"),
    INTERRUPTED: ("interrupted", "run it again"),
}
"""What each exit code means, and what its reader does next."""


def run_guarded(run: Callable[[], None], *, debug: bool) -> int:
    """Runs *run*, prints an error as one line on standard error, and returns the exit code.

    The traceback of anything is shown with *debug* only. An exception that is no EciError is a bug of ours.
    """
    try:
        run()
        output.flush()
    except errors.EciError as error:
        if interrupts.requested():  # such as a connection that the interrupt aborted
            return _interrupted(debug)
        return _failed(error.exit_code, str(error), getattr(error, "__notes__", []), debug)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _interrupted(debug)
    except click.ClickException as error:
        return _failed(2, error.format_message(), [f"hint: {_help_of(error)}"], debug)
    except OSError as error:
        if error.filename is None:
            return _bug(error, debug)
        return _failed(errors.LocalError.exit_code, f"{error.filename}: {error.strerror or error}", [], debug)
    except Exception as error:  # noqa: BLE001
        # The last resort: a bug is reported in one line instead of a traceback.
        if interrupts.requested():
            return _interrupted(debug)
        return _bug(error, debug)
    return 0


def _interrupted(debug: bool) -> int:
    return _failed(INTERRUPTED, signals.MESSAGE, [signals.HINT], debug)


def _bug(error: Exception, debug: bool) -> int:
    hint = "hint: this is a bug in eci-convert: please report it, with what --debug shows"
    return _failed(BUG, f"{type(error).__name__}: {error}", [hint], debug)


def _failed(number: int, message: str, notes: list[str], debug: bool) -> int:
    secrets = secrets_in(os.environ, sys.argv[1:])
    error = sys.exception()
    if debug and error is not None:
        output.failure(error, secrets)
    message, notes = redacted(message, secrets), [redacted(note, secrets) for note in notes]
    facts = [note for note in notes if not note.startswith("hint: ")]
    hints = [note for note in notes if note.startswith("hint: ")]
    output.error(message + (f" ({'; '.join(facts)})" if facts else ""), hints)
    return number


def _help_of(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path if context else 'eci-convert'} --help`"
