"""A real terminal, tmux, in which a program runs and whose screen is read while it does."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_EVERY = 0.15
_HEIGHT = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What was to be seen at one moment: *lines* as they stand there, *joined* with wrapped ones made whole again,
    *escaped* with the codes of colours."""

    lines: tuple[str, ...]
    joined: tuple[str, ...]
    escaped: str

    @property
    def wrapped(self) -> bool:
        """Whether any line was too long for the terminal."""
        return self.lines != self.joined

    @property
    def colours(self) -> set[int]:
        """The SGR codes in it, but for those that set things back."""
        codes = {int(code or 0) for match in _SGR.finditer(self.escaped) for code in match[1].split(";")}
        return codes - {0, 39, 49}


class Terminal:
    """A terminal of *columns* in which *command* runs, from now on. Its results go into the file `result`."""

    def __init__(self, command: Sequence[str], columns: int, env: Mapping[str, str], cwd: Path) -> None:
        self._socket = f"eci-convert-{uuid.uuid4().hex[:8]}"
        unset = [f"--unset={name}" for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "CI")]
        words = ["env", *unset, *(f"{name}={value}" for name, value in env.items()), *command]
        self._status = cwd / "exit-status"
        self._status.unlink(missing_ok=True)
        # The shell stays behind, for the screen goes with the last program on it.
        script = f"{shlex.join(words)} >result; echo $? >exit-status; sleep 600"
        size = ("-x", str(columns), "-y", str(_HEIGHT))
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, "-c", str(cwd), script)

    def screen(self) -> Screen:
        """What is to be seen now. The three views are of one moment, or taken again."""
        while True:
            first, joined, escaped, last = (
                self._tmux("capture-pane", "-p", *flags) for flags in ((), ("-J",), ("-e",), ())
            )
            if first == last:
                return Screen(lines=_lines(first), joined=_lines(joined), escaped=escaped)

    def screens(self, limit: float = 120.0) -> Iterator[Screen]:
        """What is to be seen from time to time until the program has ended, and then once more."""
        end = time.monotonic() + limit
        while not self.ended:
            assert time.monotonic() < end, self.screen()
            yield self.screen()
            time.sleep(_EVERY)
        yield self.screen()

    def type(self, *keys: str) -> None:
        """Presses *keys*, such as `C-c`."""
        self._tmux("send-keys", *keys)

    @property
    def ended(self) -> bool:
        return self._status.exists() and bool(self.exit_status)

    @property
    def exit_status(self) -> str:
        """What the shell says of the program, which has ended: 128 and its number where a signal ended it."""
        return self._status.read_text().strip()

    @property
    def pid(self) -> int:
        """The program's process id."""
        shell = self._shown("#{pane_pid}")
        return int(Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0])

    @property
    def cursor_is_shown(self) -> bool:
        return self._shown("#{cursor_flag}") == "1"

    def close(self) -> None:
        self._tmux("kill-server")

    def _shown(self, what: str) -> str:
        return self._tmux("display-message", "-p", what).strip()

    def _tmux(self, *words: str) -> str:
        environ = {**os.environ, "LC_ALL": "C.UTF-8"}
        environ.pop("TMUX", None)
        done = subprocess.run(
            ["tmux", "-u", "-L", self._socket, *words],
            env=environ,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        return done.stdout


@contextmanager
def terminal(command: Sequence[str], columns: int, env: Mapping[str, str], cwd: Path) -> Iterator[Terminal]:
    """A `Terminal`, gone with all that runs in it when the block ends."""
    opened = Terminal(command, columns, env, cwd)
    try:
        yield opened
    finally:
        opened.close()


def _lines(text: str) -> tuple[str, ...]:
    lines = [line.rstrip() for line in text.splitlines()]
    return tuple(line for line in lines if line)
