"""Integration tests do not depend on the environment of whoever runs them (conftest.py)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from tests.support.isolation import PROXIES, is_isolated, run_polluted


def test_nothing_of_the_user_is_in_the_environment(
    eci_convert: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert is_isolated(keep=PROXIES)
    assert eci_convert("version").stderr == ""


def test_nothing_of_a_full_environment_is_in_it_either() -> None:
    done = run_polluted(test_nothing_of_the_user_is_in_the_environment, keep=PROXIES)

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
