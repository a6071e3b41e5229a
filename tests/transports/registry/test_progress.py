"""What a push to a registry reports of its phases, its retries and its waits."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from eci_convert.compression.codec import Codec
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.oci.platform import parse_platform
from eci_convert.operations.copy import copy
from eci_convert.operations.push import PushRequest, push
from eci_convert.options import TransferOptions
from eci_convert.progress import Phase, Relabelled, Retry, Reused, Wait, WaitEnded
from eci_convert.reading.images import load_root
from eci_convert.reading.local_parts import Disk, artifact_from_parts
from eci_convert.testing import FaultyRegistry, header, status
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.settings import Settings
from tests.support.fake_registry.server import a_registry
from tests.support.home_directory import User
from tests.support.reporters import Counting, Noting

MIB = 1 << 20
TERMS = WriteOptions(platform=parse_platform("linux/amd64"))


def push_disk(registry: FaultyRegistry, user: User, disk: Path, format: str, name: str = "machine:1") -> Noting:
    reporter = Noting()
    artifact, codec = artifact_from_parts(root=Disk.parse(f"{disk}:raw")), Codec.parse("gzip")
    settings = Settings(environ=user.environ, reporter=reporter)
    with open_sink(f"docker://{registry.host}/{name}", settings) as sink:
        request = PushRequest(format=format, write=TERMS, codec=codec)
        push(artifact, sink, request, options=TransferOptions(reporter=reporter))
    return reporter


def phases(reporter: Noting) -> list[str]:
    return [event.phase for event in reporter.events if isinstance(event, Phase | Relabelled)]


def test_a_push_says_its_phases(registry: FaultyRegistry, user: User, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(hashlib.sha256().digest() * (MIB // 32))

    assert phases(push_disk(registry, user, disk, "artifacts")) == ["hashing", "writing", "sending"]
    assert phases(push_disk(registry, user, disk, "legacy")) == ["compressing", "sending"]

    again = push_disk(registry, user, disk, "artifacts", "machine:2")
    assert phases(again) == ["hashing"]
    assert Reused(task="disk-root-disk.img", size=MIB) in again.events


def test_a_retry_is_told_with_its_number_and_its_delay(registry: FaultyRegistry, user: User, tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(1000))
    registry.misbehave("PUT", "/manifests/", status(503), times=2)
    reporter = push_disk(registry, user, tmp_path / "disk.img", "artifacts")

    retries = [event for event in reporter.events if isinstance(event, Retry)]
    assert [(retry.attempt, retry.attempts) for retry in retries] == [(2, 6), (3, 6)]
    assert all("503" in retry.what and retry.delay > 0 for retry in retries)
    waits = [event.what for event in reporter.events if isinstance(event, Wait)]
    assert "the next attempt" in waits
    assert sorted(waits) == sorted(event.what for event in reporter.events if isinstance(event, WaitEnded))


def test_a_copy_from_one_registry_to_another_counts_what_is_sent(
    registry: FaultyRegistry, user: User, tmp_path: Path
) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(1000))
    push_disk(registry, user, tmp_path / "disk.img", "artifacts")
    reporter = Noting()
    with a_registry() as other:
        settings = Settings(environ=user.environ, reporter=reporter)
        with (
            open_source(f"docker://{registry.host}/machine:1", settings) as source,
            open_sink(f"docker://{other.host}/machine:1", settings) as sink,
        ):
            copy(source, sink, options=TransferOptions(reporter=reporter))
        sent = sum(len(content) for content in other.blobs.values())

    assert set(phases(reporter)) == {"receiving", "copying"}
    assert reporter.done == sent


def test_what_a_registry_warns_of_reaches_a_reporter_of_three_methods_as_a_log(
    registry: FaultyRegistry, user: User, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(1000))
    push_disk(registry, user, tmp_path / "disk.img", "artifacts")
    registry.misbehave("GET", "/manifests/", header("Warning", '299 - "this image is old"'))

    settings = Settings(environ=user.environ, reporter=Counting())
    with open_source(f"docker://{registry.host}/machine:1", settings) as source:
        load_root(source)

    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"{registry.host} warns: this image is old"
    ]
