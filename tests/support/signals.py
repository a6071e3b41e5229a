"""Signals as a terminal's programs have them, whatever started the tests."""

from __future__ import annotations

import signal


def heed() -> None:
    """Stop ignoring SIGINT and SIGHUP, which the background of a shell and nohup have ignored: so would the programs
    that tests start and interrupt. Called before the first test."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
