"""Tests do not depend on the environment of whoever runs them (conftest.py)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.isolation import is_isolated, run_polluted
from tests.support.programs import python


def test_nothing_of_the_user_is_in_the_environment() -> None:
    assert is_isolated()
    assert not Path(os.environ["HOME"]).exists()


def test_nothing_of_a_full_environment_is_in_it_either() -> None:
    done = run_polluted(test_nothing_of_the_user_is_in_the_environment)

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_programs_that_tests_start_can_be_interrupted() -> None:
    """Also where the tests run in the background of a shell, which has SIGINT ignored, or under nohup."""
    program = """
    import signal, subprocess, sys
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    import tests.conftest
    subprocess.run([sys.executable, "-c",
                    "import signal; print(signal.getsignal(signal.SIGINT).__name__, signal.getsignal(signal.SIGHUP))"])
    """
    done = subprocess.run(python(program), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["default_int_handler", "0"]
