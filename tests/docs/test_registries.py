"""What docs/reference/registries.md says of eci-convert is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eci_convert.testing import FaultyRegistry, Reply
from eci_convert.transports.registry import upload_plan
from eci_convert.transports.registry.http import retry
from eci_convert.transports.registry.state import host_facts
from tests.support.command_line import Run
from tests.support.shell_pages import DOCS, run_page

PAGE = (DOCS / "reference/registries.md").read_text()


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "kernel").write_bytes(b"kernel" * 100_000)
    return Run(capfd)


def test_the_commands_of_the_page_print_what_it_shows(workplace: Path, registry: FaultyRegistry) -> None:
    assert not run_page("reference/registries.md", workplace, registry.host)


def test_the_sizes_are_those_of_the_code() -> None:
    assert f"accepts requests of {host_facts._LARGEST['ghcr.io'] // 1_000_000} MB at most" in PAGE
    assert f"up to {upload_plan.MAX_MINIMUM >> 20} MiB" in PAGE
    assert f"chunks have {upload_plan.CHUNK >> 20} MiB" in PAGE
    assert f"down to {upload_plan.SMALLEST >> 10} KiB" in PAGE
    assert f"waits for up to {retry.MAX_RETRY_AFTER:.0f} seconds" in PAGE
    assert f"remembers the size for {host_facts._MAX_AGE_SECONDS / 24 / 3600:.0f} days" in PAGE
    assert {host.strip(".") for host in host_facts._ONE_PIECE} == set(re.findall(r"`(gcr\.io|pkg\.dev)`", PAGE))


def test_an_artifact_type_that_is_refused_is_left_out(registry: FaultyRegistry, run: Run, tmp_path: Path) -> None:
    refusal = Reply.of(400, b'{"errors":[{"code":"MANIFEST_INVALID","message":"artifactType is not allowed"}]}')
    words = ("push", f"{registry.host}/edge/machine:1", "--kernel", tmp_path / "kernel")

    registry.misbehave("PUT", "manifests", lambda _: refusal)
    strict = run(*words, "--compat", "strict", exits=3)
    registry.misbehave("PUT", "manifests", lambda _: refusal)
    lenient = run(*words)

    assert "artifactType" in strict.err
    assert "retrying without" in lenient.err
    assert b"artifactType" not in registry.seen("manifests", "PUT")[-1].body


def test_smaller_chunks_are_sent_where_requests_are_limited(registry: FaultyRegistry, run: Run, tmp_path: Path) -> None:
    registry.max_body = 200_000

    run("push", f"{registry.host}/edge/machine:1", "--kernel", tmp_path / "kernel")

    sizes = [len(request.body) for request in registry.seen("uploads", "PATCH|PUT|POST")]
    assert max(sizes[-3:]) <= 200_000
