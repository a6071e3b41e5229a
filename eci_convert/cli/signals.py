"""SIGINT, SIGTERM and SIGHUP: the first asks the program to stop, and two seconds later it is gone whatever its threads
do; a second one ends it at once.

The handlers do nothing, so that no KeyboardInterrupt is raised at an arbitrary place. Python writes the signal's number
into a pipe (`signal.set_wakeup_fd`), also while the main thread is blocked; a thread that reads it does the rest.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from eci_convert.files import leftovers
from eci_convert.streams import interrupts

INTERRUPTED: Final = 130
MESSAGE: Final = "interrupted"
HINT: Final = "hint: run it again"

_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_GRACE = 1.4
"""Seconds that threads have to end by themselves."""
_REMOVING = 0.4
"""Seconds for removing temporary files when they have not."""
_SAME = 0.1
"""Seconds in which a second signal is the first once more: `timeout` signals a process and then its group."""

_ending = threading.Lock()
_wakeup: tuple[int, int] | None = None


def install() -> None:
    """Handle the three signals from now on; one that the parent has had ignored (nohup) stays ignored."""
    global _wakeup
    if _wakeup is not None or threading.current_thread() is not threading.main_thread():
        return
    _wakeup = os.pipe()
    for end in _wakeup:
        os.set_blocking(end, end == _wakeup[0])
    threading.Thread(target=_watch, args=(_wakeup[0],), name="signals", daemon=True).start()
    signal.set_wakeup_fd(_wakeup[1], warn_on_full_buffer=False)
    for number in _HANDLED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _note)


def installed() -> bool:
    """Whether the signals are handled here."""
    return _wakeup is not None


def leave() -> NoReturn:
    """End the process now, without waiting for any thread."""
    _end(explained=True)


def _note(number: int, frame: FrameType | None) -> None:
    """Nothing: that there is a handler has Python write to the pipe."""


def _watch(descriptor: int) -> None:
    while os.read(descriptor, 1)[0] not in _HANDLED:
        pass
    now = time.monotonic()
    same, deadline = now + _SAME, now + _GRACE
    interrupts.request()
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], left)[0]:
            break
        if os.read(descriptor, 1)[0] in _HANDLED and time.monotonic() > same:
            break
    _end(explained=False)


def _end(*, explained: bool) -> NoReturn:
    """Remove what must not stay, and end the process. *explained*: the user has been told why."""
    if not _ending.acquire(blocking=False):
        while True:  # another thread is ending the process
            time.sleep(1)
    leftovers.remove_all(_REMOVING)
    _end_children()
    if not explained:
        _write(f"eci-convert: error: {MESSAGE}\n{HINT}\n".encode())
    os._exit(INTERRUPTED)


def _end_children() -> None:
    """Ask the programs that were started here to end: `docker buildx`, a credential helper."""
    for thread in os.listdir("/proc/self/task"):
        with suppress(OSError, ValueError):
            for child in Path(f"/proc/self/task/{thread}/children").read_text().split():
                os.kill(int(child), signal.SIGTERM)


def _write(text: bytes) -> None:
    """Write to standard error, unless that would block: a pipe without a reader must not keep the process."""
    with suppress(OSError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, text)
