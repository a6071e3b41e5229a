"""What `import eci_convert` does with the names of images, beside what the command line says of the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import eci_convert as ec
from eci_convert.testing import FaultyRegistry, run_registry, status
from tests.support.command_line import CommandResult, Run
from tests.support.reporters import Listening

BARE = ("machine:1", "layout")
PLATFORMS = {"1": "linux/amd64", "2": "linux/arm64"}


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with run_registry() as running:
        yield running


@pytest.fixture(params=["layout", "registry"])
def place(request: pytest.FixtureRequest, registry: FaultyRegistry, tmp_path: Path) -> str:
    """A place with the images 1 and 2, each of another platform."""
    where = f"oci:{tmp_path}/layout" if request.param == "layout" else f"docker://{registry.host}/machine"
    for name, platform in PLATFORMS.items():
        machine = ec.Machine(kernel=f"kernel {name}".encode())
        ec.push(machine, f"{where}:{name}", format="legacy", platform=platform, compression="none")
    return where


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., CommandResult]:
    """The command line. What it says is taken away; the library had said nothing until then."""

    def run(*words: str | Path) -> CommandResult:
        assert capfd.readouterr() == ("", "")
        return Run(capfd)(*words)

    return run


@pytest.fixture(autouse=True)
def quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing prints."""
    yield
    assert capfd.readouterr() == ("", "")


def names(place: str) -> set[str]:
    """The tags in a registry, the names in a layout."""
    return {image.tag or image.name for image in ec.list_images(place)} - {""}


# References


@pytest.mark.parametrize("bare", BARE)
@pytest.mark.parametrize(
    "call",
    [
        lambda bare: ec.list_images(bare),
        lambda bare: ec.tag(bare, "other"),
        lambda bare: ec.delete(bare),
        lambda bare: ec.create_index(bare, ["oci:layout:1"]),
        lambda bare: ec.create_index("oci:index", [bare]),
        lambda bare: ec.attach(bare, ["file"], "build/log"),
    ],
)
def test_a_reference_without_a_transport_is_refused_with_those_there_are(
    call: Callable[[str], object], bare: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ec.UsageError, match=f"'{bare}' has no transport") as caught:
        call(bare)
    assert f"docker://{bare}" in str(caught.value.hint)
    assert not list(tmp_path.iterdir())


# list_images


def test_images_are_listed_as_the_command_line_lists_them(place: str, run: Callable[..., CommandResult]) -> None:
    listed = ec.list_images(place)
    assert [
        {
            "name": image.name or None,
            "tag": image.tag or None,
            "digest": str(image.digest),
            "platforms": [str(platform) for platform in image.platforms],
            "dialect": image.dialect,
            "size": image.size,
        }
        for image in listed
    ] == run("list", place, "--json").json
    assert [str(*image.platforms) for image in listed] == list(PLATFORMS.values())


def test_what_cannot_be_listed_is_an_error(place: str, tmp_path: Path) -> None:
    with pytest.raises(ec.UsageError, match="names an image"):
        ec.list_images(f"{place}:1")
    with pytest.raises(ec.NotFoundError):
        ec.list_images(f"oci:{tmp_path}/nowhere")


def test_an_image_that_cannot_be_read_is_warned_of(registry: FaultyRegistry) -> None:
    where, told = f"docker://{registry.host}/machine", Listening()
    pushed = ec.push(ec.Machine(kernel=b"kernel"), f"{where}:1", format="legacy")
    config = ec.inspect(f"{where}:1").image.manifest.config
    registry.blobs[str(config.digest)] = bytes(config.size)
    [image] = ec.list_images(where, progress=told)
    assert (image.digest, image.dialect, image.size) == (pushed.digest, "", None)
    assert len(told.warnings) == 1


# tag


def test_an_image_gets_more_names(place: str, run: Callable[..., CommandResult]) -> None:
    digest = ec.inspect(f"{place}:1").digest
    assert ec.tag(f"{place}:1", "a", f"{place}:b") == digest
    assert run("tag", f"{place}:1", "c", "-q").out == f"{digest}\n"
    assert names(place) == {"1", "2", "a", "b", "c"}
    assert {ec.inspect(f"{place}:{name}").digest for name in "abc"} == {digest}


def test_a_dry_run_gives_no_name(place: str) -> None:
    assert ec.tag(f"{place}:1", "a", dry_run=True) == ec.inspect(f"{place}:1").digest
    assert names(place) == {"1", "2"}


def test_no_name_changes_where_one_cannot_be(place: str, tmp_path: Path) -> None:
    with pytest.raises(ec.NotFoundError):
        ec.tag(f"{place}:9", "a")
    for wrong, words in {"a b": "is not a valid", f"oci:{tmp_path}/other:1": "is in another place"}.items():
        with pytest.raises(ec.UsageError, match=words):
            ec.tag(f"{place}:1", "a", wrong)
    with pytest.raises(ec.UsageError, match="no new name"):
        ec.tag(f"{place}:1")
    assert names(place) == {"1", "2"}


def test_a_registry_that_fails_at_one_name_has_those_before_it(registry: FaultyRegistry) -> None:
    where = f"docker://{registry.host}/machine"
    ec.push(ec.Machine(kernel=b"kernel"), f"{where}:1")
    registry.misbehave("PUT", "/manifests/b", status(403), times=9)
    with pytest.raises(ec.AccessDeniedError):
        ec.tag(f"{where}:1", "a", "b", "c")
    assert names(where) >= {"1", "a"}
    assert "c" not in names(where)


# delete


def test_names_are_removed_and_told(place: str, run: Callable[..., CommandResult]) -> None:
    listed = {(image.tag or image.name): image for image in ec.list_images(place)}
    ec.tag(f"{place}:1", "a", "b")
    assert ec.delete(f"{place}:a", dry_run=True) == ec.delete(f"{place}:a")
    full = f"{listed['2'].name}:2" if listed["2"].tag else "2"
    assert ec.delete(f"{place}:2") == (full,)
    assert run("delete", f"{place}:b", "-q").out.endswith("b\n")
    assert names(place) == {"1"}


def test_an_id_with_several_names_is_removed_when_all_are_meant(place: str) -> None:
    ec.tag(f"{place}:1", "a")
    by_id = f"{place}{':' if place.startswith('oci:') else ''}@{ec.inspect(f'{place}:1').digest}"
    with pytest.raises(ec.UsageError, match="has several names"):
        ec.delete(by_id)
    assert len(ec.delete(by_id, all_tags=True)) == 2
    assert names(place) == {"2"}


def test_nothing_is_removed_where_one_is_not_there(place: str, registry: FaultyRegistry, tmp_path: Path) -> None:
    for missing in (f"{place}:9", f"docker://{registry.host}/other:1", f"oci:{tmp_path}/layout:other"):
        with pytest.raises(ec.NotFoundError):
            ec.delete(f"{place}:1", missing)
        assert names(place) == {"1", "2"}
    with pytest.raises(ec.UsageError, match="names a place"):
        ec.delete(place)


def test_names_in_several_places_are_removed(place: str, tmp_path: Path) -> None:
    other = f"oci:{tmp_path}/other"
    ec.copy(f"{place}:1", f"{other}:1")
    assert [name.rpartition(":")[2] for name in ec.delete(f"{place}:1", f"{other}:1")] == ["1", "1"]
    assert names(place) == {"2"}
    assert names(other) == set()


# create_index


def test_images_of_several_platforms_become_an_index(place: str, run: Callable[..., CommandResult]) -> None:
    sources = [f"{place}:1", f"{place}:2"]
    would_be = ec.create_index(f"{place}:all", sources, annotations={"a": "b"}, dry_run=True)
    assert names(place) == {"1", "2"}
    made = ec.create_index(f"{place}:all", sources, annotations={"a": "b"})
    said = run("index", "create", f"{place}:again", *sources, "--annotation", "a=b", "--json").json

    assert made.digest == would_be.digest == ec.inspect(f"{place}:all").digest == ec.inspect(made.reference).digest
    assert said["digest"] == str(made.digest)
    assert [str(platform) for platform in ec.inspect(made.reference).platforms] == list(PLATFORMS.values())


def test_an_index_is_taken_whole_or_for_one_platform(place: str) -> None:
    all_of_it = ec.create_index(f"{place}:all", [f"{place}:1", f"{place}:2"])
    assert ec.create_index(f"{place}:same", f"{place}:all").digest == all_of_it.digest
    ec.create_index(f"{place}:one", [f"{place}:all"], platform="linux/arm64")
    assert ec.inspect(f"{place}:one", platform="linux/arm64").platforms == (ec.Platform.parse("linux/arm64"),)


def test_what_makes_no_index_is_refused_before_anything_is_there(place: str, tmp_path: Path) -> None:
    ec.push(ec.Machine(kernel=b"other"), f"{place}:3", format="legacy", platform="linux/amd64")
    for sources, words in {(): "needs an image", (f"{place}:1", f"{place}:3"): "amd64"}.items():
        with pytest.raises(ec.UsageError, match=words):
            ec.create_index(f"{place}:all", sources)
    digest = ec.inspect(f"{place}:1").digest
    with pytest.raises(ec.UsageError, match="names a digest"):
        ec.create_index(f"{place}{':' if place.startswith('oci:') else ''}@{digest}", [f"{place}:1"])
    with pytest.raises(ec.CannotHoldError, match="cannot hold an index"):
        ec.create_index(f"docker-archive:{tmp_path}/a.tar:machine:1", [f"{place}:1"])
    with pytest.raises(ec.NotFoundError):
        ec.create_index(f"{place}:all", [f"{place}:9"])
    assert names(place) == {"1", "2", "3"}


# blob_url


def test_the_request_is_what_the_command_line_prints(
    registry: FaultyRegistry, run: Callable[..., CommandResult]
) -> None:
    bare = f"{registry.host}/machine:1"
    ec.push(ec.Machine(kernel=b"kernel", initrd=b"initrd"), f"docker://{bare}", compression="none")
    for part in ("", "kernel", "initrd"):
        request = ec.blob_url(bare, part)
        said = run("url", bare, "--part", part, "--json").json
        assert request.url == said["url"]
        assert {name: [value] for name, value in request.headers.items()} == said.get("headers", {})
        assert ec.blob_url(f"docker://{bare}", part) == request
    assert ec.blob_url(bare, "kernel").url.endswith(str(ec.Digest.of(b"kernel")))


def test_a_login_is_in_the_headers_and_in_no_repr(registry: FaultyRegistry) -> None:
    registry.users = {"me": "c0rrect-horse"}
    options = ec.Options(username="me", password="c0rrect-horse")
    ec.push(ec.Machine(kernel=b"kernel"), f"docker://{registry.host}/machine:1", options=options)
    request = ec.blob_url(f"{registry.host}/machine:1", "kernel", options=options)
    assert request.headers["Authorization"]
    assert "Authorization" not in repr(request)


def test_what_has_no_url_is_an_error(place: str) -> None:
    if place.startswith("oci:"):
        with pytest.raises(ec.UsageError, match="is in no registry"):
            ec.blob_url(f"{place}:1")
        return
    with pytest.raises(ec.MissingPartError, match="it has kernel"):
        ec.blob_url(f"{place}:1", "root")
    ec.push(ec.Machine(kernel=b"kernel"), f"{place}:packed", format="legacy", compression="gzip")
    with pytest.raises(ec.UnsupportedImageError, match="lies in a layer"):
        ec.blob_url(f"{place}:packed", "kernel")


# attach


def test_files_are_attached_as_the_command_line_attaches_them(
    place: str, run: Callable[..., CommandResult], tmp_path: Path
) -> None:
    file = tmp_path / "sbom.json"
    file.write_text("{}")
    words = ("--artifact-type", "sbom/spdx", "--json")
    would_be = ec.attach(f"{place}:1", {file: "application/spdx+json"}, "sbom/spdx", dry_run=True)
    assert run("discover", f"{place}:1", "--json").json["referrers"] == []
    attached = ec.attach(f"{place}:1", {file: "application/spdx+json"}, "sbom/spdx")
    said = run("attach", f"{place}:1", f"{file}:application/spdx+json", *words).json
    [found] = run("discover", f"{place}:1", "--json").json["referrers"]

    assert said["digest"] == found["digest"] == str(attached.digest) == str(would_be.digest)
    assert attached.reference == would_be.reference
    assert ec.inspect(attached.reference).digest == attached.digest
    assert found["artifact_type"] == "sbom/spdx"
    assert names(place) == {"1", "2"}


def test_a_path_may_stand_by_itself(place: str, tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"log")
    several = ec.attach(f"{place}:1", [file], "build/log")
    assert ec.attach(f"{place}:1", file, "build/log").digest == several.digest
    assert ec.attach(f"{place}:1", str(file), "build/log").digest == several.digest


def test_what_cannot_be_attached_is_an_error(place: str, tmp_path: Path) -> None:
    file, other = tmp_path / "log", tmp_path / "sub" / "log"
    other.parent.mkdir()
    for path in (file, other):
        path.write_bytes(b"log")
    for files, kind, words in (
        ([file, other], "build/log", "two files"),
        ([], "build/log", "nothing to attach"),
        ([file], "log", "is not a media type"),
        ({file: "text"}, "build/log", "is not a media type"),
    ):
        with pytest.raises(ec.UsageError, match=words):
            ec.attach(f"{place}:1", files, kind)
    with pytest.raises(ec.NotFoundError):
        ec.attach(f"{place}:1", [tmp_path / "missing"], "build/log")
    with pytest.raises(ec.NotFoundError):
        ec.attach(f"{place}:9", [file], "build/log")
    ec.copy(f"{place}:1", f"oci-archive:{tmp_path}/a.tar:1")
    with pytest.raises(ec.CannotHoldError, match="files cannot be attached to images there"):
        ec.attach(f"oci-archive:{tmp_path}/a.tar:1", [file], "build/log")
    assert len(ec.attach(f"{place}:1", [], "build/log", annotations={"job": "17"}).manifest.annotations) == 1


# Words


def test_one_word_is_no_sequence_of_letters(place: str, tmp_path: Path) -> None:
    ec.extract(f"{place}:1", tmp_path / "out", only="kernel")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["kernel"]
    with pytest.raises(ec.UsageError, match="'nonsense'"):
        ec.push(ec.Machine(kernel=b"kernel"), f"{place}:3", format="legacy", also="nonsense")
