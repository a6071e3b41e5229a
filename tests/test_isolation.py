"""Tests do not depend on the environment of whoever runs them (conftest.py)."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

from tests.support.isolation import USERS_OWN
from tests.support.programs import python

POLLUTED = {
    "DOCKER_HOST": "tcp://192.0.2.1:2375",
    "DOCKER_CONFIG": "/nowhere",
    "XDG_STATE_HOME": "/nowhere",
    "SOURCE_DATE_EPOCH": "1",
    "ECI_CONVERT_QUIET": "1",
    "HTTPS_PROXY": "http://192.0.2.1:3128",
    "no_proxy": "*",
}


def test_nothing_of_the_users_is_in_the_environment() -> None:
    assert [name for name in os.environ if USERS_OWN.fullmatch(name)] in ([], ["ECI_CONVERT_REQUIRE_ENGINES"])
    assert os.environ["HOME"] != pwd.getpwuid(os.getuid()).pw_dir
    assert not Path(os.environ["HOME"]).exists()


def test_nothing_of_a_full_environment_is_in_it_either() -> None:
    pytest_ = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    this = f"{__file__}::{test_nothing_of_the_users_is_in_the_environment.__name__}"

    done = subprocess.run(
        [*pytest_, this], env={**os.environ, **POLLUTED}, capture_output=True, text=True, check=False, timeout=120
    )

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
