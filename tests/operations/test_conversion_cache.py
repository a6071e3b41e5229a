"""The same image written once more in another format, to the same name: nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import eci_convert as ec
from eci_convert.operations.conversion_cache import ConversionCache
from eci_convert.pack.result import PushResult
from eci_convert.reading.images import load_root
from eci_convert.testing import FaultyRegistry, refusal, run_registry
from eci_convert.transports import open_source

DISK = bytes(range(256)) * 4000


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with run_registry() as running:
        yield running


@pytest.fixture
def place(registry: FaultyRegistry, tmp_path: Path) -> tuple[str, ec.Options]:
    """A source in a layout, and options of a user with a home directory."""
    source = f"oci:{tmp_path}/layout:machine"
    ec.push(ec.Machine(kernel=b"kernel" * 999, root=ec.Disk(DISK, type="raw", name="root.raw")), source)
    return source, ec.Options(environ={"HOME": str(tmp_path / "home")})


@pytest.fixture
def convert(place: tuple[str, ec.Options], registry: FaultyRegistry) -> Callable[..., tuple[PushResult, list[str]]]:
    """Copies to a registry, and tells what was asked of it beside GET and HEAD."""
    source, options = place

    def convert(destination: str = "edge/machine:1", **words: object) -> tuple[PushResult, list[str]]:
        before = len(registry.requests)
        words = {"format": "legacy", "options": options, **words}
        result = ec.copy(source, f"docker://{registry.host}/{destination}", **words)  # type: ignore[arg-type]
        writing = [seen.method for seen in registry.requests[before:] if seen.method not in ("GET", "HEAD")]
        return result, writing

    return convert


Convert = Callable[..., tuple[PushResult, list[str]]]


@pytest.mark.parametrize("format", ["legacy", "containerdisk", "artifacts"])
@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_nothing_is_sent_a_second_time(convert: Convert, format: str, compression: str) -> None:
    first, _ = convert(format=format, compression=compression)
    second, writing = convert(format=format, compression=compression)

    assert writing == []
    assert (second.descriptor, second.manifest, second.reference) == (first.descriptor, first.manifest, first.reference)
    assert second.bytes_sent == 0
    assert second.bytes_reused == first.bytes_sent + first.bytes_reused


@pytest.mark.parametrize(
    "words",
    [{"format": "containerdisk"}, {"compression": "zstd"}, {"labels": {"a": "b"}}, {"destination": "edge/machine:2"}],
    ids=str,
)
def test_what_is_written_otherwise_is_sent(convert: Convert, words: dict[str, object]) -> None:
    convert()
    _, writing = convert(**words)
    assert writing[-1] == "PUT"


def test_what_a_name_no_longer_stands_for_is_sent(convert: Convert, place: tuple[str, ec.Options]) -> None:
    first, _ = convert()
    convert(format="containerdisk")
    again, writing = convert()
    assert writing
    assert again.digest == first.digest


def test_what_the_registry_has_lost_is_sent(convert: Convert, registry: FaultyRegistry) -> None:
    first, _ = convert()
    registry.blobs.clear()
    again, writing = convert()
    assert writing.count("PUT") > 1
    assert again.digest == first.digest


def test_another_image_under_the_name_of_the_source_is_sent(convert: Convert, place: tuple[str, ec.Options]) -> None:
    first, _ = convert()
    ec.push(ec.Machine(kernel=b"another"), place[0])
    again, writing = convert()
    assert writing
    assert again.digest != first.digest


def test_a_dry_run_remembers_nothing(convert: Convert) -> None:
    _, nothing = convert(dry_run=True)
    first, writing = convert()
    assert not nothing
    assert writing
    assert first.bytes_sent > 0


def test_a_user_who_keeps_nothing_sends_again(convert: Convert, tmp_path: Path) -> None:
    options = ec.Options(environ={"HOME": str(tmp_path / "home")}, resume=False)
    convert(options=options)
    _, writing = convert(options=options)
    assert writing
    assert not (tmp_path / "home/.local/state/eci-convert/conversions").exists()


def test_a_layout_gets_nothing_written_either(place: tuple[str, ec.Options], tmp_path: Path) -> None:
    source, options = place
    first = ec.copy(source, f"oci:{tmp_path}/other:1", format="legacy", options=options)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "other").rglob("*")}
    again = ec.copy(source, f"oci:{tmp_path}/other:1", format="legacy", options=options)
    assert (again.digest, again.bytes_sent) == (first.digest, 0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "other").rglob("*")} == files


@pytest.mark.parametrize(
    "content", [b"", b"no digest", b"\xff", b"[]", b"{}", b'{"digest": 5}', b'{"digest": "sha256:0"}', b" " * 9999]
)
def test_a_file_that_is_none_of_ours_is_as_if_it_were_not_there(tmp_path: Path, content: bytes) -> None:
    directory = tmp_path / "eci-convert/conversions"
    directory.mkdir(parents=True, mode=0o700)
    directory.parent.chmod(0o700)
    (directory / ("0" * 64 + ".json")).write_bytes(content)
    assert ConversionCache(directory).result_of("0" * 64) is None


def test_a_limit_is_held_a_second_time_too(convert: Convert) -> None:
    convert()
    with pytest.raises(ec.LimitExceededError, match="limit of 1 byte"):
        convert(max_size=1)


def test_what_was_written_around_a_refusal_is_no_result_where_the_refusal_is_an_error(
    convert: Convert, place: tuple[str, ec.Options], registry: FaultyRegistry
) -> None:
    """--compat strict: a manifest without its artifactType is not what was asked for."""
    registry.misbehave("PUT", "/manifests/", refusal(400, "MANIFEST_INVALID", "unknown artifactType"), times=1)
    convert(format="artifacts")
    _, writing = convert(format="artifacts", options=replace(place[1], compat="strict"))
    assert "PUT" in writing


def test_another_index_around_the_same_image_is_another_source(registry: FaultyRegistry, tmp_path: Path) -> None:
    """A package of KraftKit keeps the annotations of its index."""
    options = ec.Options(environ={"HOME": str(tmp_path / "home")})
    ec.push(ec.Machine(kernel=b"kernel"), f"oci:{tmp_path}/one:1", format="unikraft")
    results = []
    for number in ("1", "2", "2"):
        package = f"oci:{tmp_path}/package{number}:1"
        ec.create_index(package, [f"oci:{tmp_path}/one:1"], annotations={"number": number}, options=options)
        destination = f"docker://{registry.host}/edge/app:1"
        results.append(ec.copy(package, destination, format="unikraft", options=options))
        with open_source(destination, options.settings()) as source:
            assert load_root(source)[1].annotations["number"] == number
    _, second, third = results
    assert (third.descriptor, third.manifest, third.bytes_sent) == (second.descriptor, second.manifest, 0)
