"""Tests without the environment of whoever runs them: used by tests/conftest.py and integration/conftest.py."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_USERS_OWN = re.compile(
    r"(XDG|DOCKER|BUILDX|BUILDKIT|CONTAINERD|CONTAINERS?|STORAGE|ECI_CONVERT)_.*|_ECI_CONVERT_COMPLETE"
    r"|REGISTRY_AUTH_FILE|REGISTRIES_CONFIG_PATH|SOURCE_DATE_EPOCH|(http|https|all|no|ftp)_proxy|NO_COLOR|FORCE_COLOR"
    r"|NETRC",
    re.IGNORECASE,
)
"""Variables that change what eci-convert and the engines do. A test that wants one sets it."""

_FOR_TESTS = re.compile(r"ECI_CONVERT_(REQUIRE_ENGINES|ENGINES|INTERRUPTS|BENCH|BENCH_TMP)")
"""Variables that choose which tests run, and where the engines are."""

PROXIES = re.compile(r"(http|https|all|no|ftp)_proxy", re.IGNORECASE)

_POLLUTION = {
    "DOCKER_HOST": "tcp://192.0.2.1:2375",
    "DOCKER_CONFIG": "/nowhere",
    "REGISTRY_AUTH_FILE": "/nowhere",
    "CONTAINERS_STORAGE_CONF": "/nowhere",
    "XDG_STATE_HOME": "/nowhere",
    "XDG_RUNTIME_DIR": "/nowhere",
    "SOURCE_DATE_EPOCH": "1",
    "ECI_CONVERT_QUIET": "1",
}
_PROXY_POLLUTION = {"HTTPS_PROXY": "http://192.0.2.1:3128", "no_proxy": "*"}


def users_variables(keep: re.Pattern[str] | None = None) -> list[str]:
    """The names in the environment that are the user's own, but for those that *keep* matches."""
    return [
        name
        for name in os.environ
        if _USERS_OWN.fullmatch(name) and not _FOR_TESTS.fullmatch(name) and not (keep and keep.fullmatch(name))
    ]


def isolate(monkeypatch: pytest.MonkeyPatch, home: Path, keep: re.Pattern[str] | None = None) -> None:
    """Remove the user's own variables, but for those that *keep* matches, and make *home* the home directory."""
    for name in users_variables(keep):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))


def is_isolated(keep: re.Pattern[str] | None = None) -> bool:
    """Whether neither a variable nor the home directory is the user's."""
    return not users_variables(keep) and os.environ["HOME"] != pwd.getpwuid(os.getuid()).pw_dir


def run_polluted(test: Callable[..., None], keep: re.Pattern[str] | None = None) -> subprocess.CompletedProcess[str]:
    """pytest, which runs *test* in an environment full of the user's variables, but for those that *keep* matches."""
    pollution = _POLLUTION if keep else _POLLUTION | _PROXY_POLLUTION
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    name = f"{test.__code__.co_filename}::{test.__name__}"
    return subprocess.run(
        [*command, name], env=os.environ | pollution, capture_output=True, text=True, check=False, timeout=120
    )
