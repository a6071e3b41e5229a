"""One truth on stdout: what is printed of an image is what its place knows it by, however it is asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.conftest import Parts
from tests.support.command_line import Run, one_line
from tests.support.fake_containerd import a_containerd
from tests.support.fake_docker import a_docker
from tests.support.fake_registry.server import a_registry

PLACES = ["registry", "oci", "oci-archive", "docker-archive", "containers-storage", "containerd", "docker", "docker25"]
Spell = Callable[[str], str]


@pytest.fixture(params=PLACES)
def place(
    request: pytest.FixtureRequest, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Spell]]:
    """A place by its name, and how an image there is spelt."""
    (tmp_path / "p").mkdir()
    with ExitStack() as stack:
        match request.param:
            case "registry":
                host = stack.enter_context(a_registry()).host
                yield "registry", lambda name: f"docker://{host}/{name}"
            case "containerd":
                address = stack.enter_context(a_containerd(tmp_path / "p")).address
                monkeypatch.setenv("CONTAINERD_ADDRESS", address)
                yield "containerd", lambda name: f"containerd:{name}"
            case "docker" | "docker25" as engine:
                docker = stack.enter_context(a_docker(tmp_path / "p", in_containerd=engine == "docker25"))
                monkeypatch.setenv("DOCKER_HOST", docker.environ["DOCKER_HOST"])
                yield engine, lambda name: f"docker-daemon:{name}"
            case "containers-storage":
                yield "containers-storage", lambda name: f"containers-storage:[vfs@{tmp_path}/store]{name}"
            case scheme:
                yield scheme, lambda name: f"{scheme}:{tmp_path}/p/{name.replace('/', '-').replace(':', '.')}:{name}"


def test_text_json_quiet_and_digest_file_agree_and_lead_to_the_image(
    place: tuple[str, Spell], run: Run, parts: Parts, tmp_path: Path
) -> None:
    name, spell = place
    reference, file = spell("edge/machine:1"), tmp_path / "digest"
    words: list[str | Path] = ["build", "--kernel", parts.kernel, "--to", reference, "--digest-file", file]

    text = run(*words).out.strip()
    in_file = file.read_text().strip()
    found = run(*words, "--json").json
    quiet = run(*words, "--quiet").out.strip()

    assert re.fullmatch("sha256:[0-9a-f]{64}", quiet)
    assert quiet == in_file == found["digest"]
    if name.startswith("docker2") or name == "docker":
        assert text == quiet == found["image_id"]
        leads = f"docker-daemon:{text}"
    elif name == "registry":
        assert text == f"{reference.removeprefix('docker://')}@{quiet}"
        leads = f"docker://{text}"
    else:
        assert text == f"{reference}@{quiet}"
        leads = text
    there = run("inspect", leads, "--json").json
    assert [part["name"] for part in there["parts"]] == ["kernel"]
    if name not in ("docker", "docker25", "docker-archive"):  # places that keep the manifest itself
        assert there["digest"] == quiet


def test_copy_and_push_tell_the_same_digest_as_build(
    place: tuple[str, Spell], run: Run, parts: Parts, layout: Path, tmp_path: Path
) -> None:
    _, spell = place
    run("build", "--kernel", parts.kernel, "--to", f"oci:{tmp_path}/built:a")
    words: list[str | Path] = [
        "copy",
        f"oci:{tmp_path}/built:a",
        spell("edge/copied:1"),
        "--digest-file",
        tmp_path / "digest",
    ]

    text = run(*words).out.strip()
    found = run(*words, "--json").json

    assert text.endswith(f"with digest {found['digest']}")
    assert (tmp_path / "digest").read_text().strip() == found["digest"]
    assert run(*words, "-q").out.strip() == found["digest"]
    assert found["image_id"].startswith("sha256:")


def test_a_tag_is_the_same_as_the_engine_as_a_place(
    run: Run, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_docker(tmp_path) as docker:
        monkeypatch.setenv("DOCKER_HOST", docker.environ["DOCKER_HOST"])
        tagged = run("build", "--kernel", parts.kernel, "-t", "a:1").out
        assert run("build", "--kernel", parts.kernel, "--to", "docker-daemon:a:1").out == tagged
        assert run("build", "--kernel", parts.kernel, "-t", "a:1", "-q").out == tagged


def test_quiet_prints_the_bare_result(run: Run, parts: Parts, layout: Path, tmp_path: Path) -> None:
    reference = f"oci:{layout}:edge/machine:1"
    digest = run("inspect", reference, "--json").json["digest"]
    remote: list[str | Path] = ["--remote", layout, "edge/machine:1", "-q"]
    assert run("inspect", reference, "-q").out == f"{digest}\n"
    assert run("verify", reference, "-q").out == f"{digest}\n"
    assert run("push", *remote, *parts.words).out == f"{digest}\n"
    kernel = str(tmp_path / "k")
    assert run("extract", reference, "--kernel", kernel, "-q").out == f"{kernel}\n"
    assert run("pullfiles", *remote, "--kernel", kernel).out == f"{kernel}\n"
    pulled = run("pull", *remote, "--dir", tmp_path / "out").out.splitlines()
    assert sorted(pulled) == sorted(str(path) for path in (tmp_path / "out").iterdir())
    run("build", "--kernel", parts.kernel, "--to", f"oci:{tmp_path}/built:a")
    identity = run("build", "--kernel", parts.kernel, "--to", f"oci:{tmp_path}/built:a", "--json").json["image_id"]
    assert run("preload", f"oci:{tmp_path}/built:a", "-q", "--root", tmp_path / "tree").out == f"{identity}\n"
    listed = run("index", "create", f"oci:{tmp_path}/built:b", reference, "-q").out.strip()
    entries = json.loads((tmp_path / "built/index.json").read_text())["manifests"]
    assert listed in {entry["digest"] for entry in entries}


def test_quiet_is_quiet_where_the_image_itself_goes_to_standard_output(run: Run, parts: Parts, tmp_path: Path) -> None:
    assert run("build", "--kernel", parts.kernel, "--to", "oci-archive:/dev/stdout:a", "-q").err == ""


def test_a_tag_and_a_place_are_two_places(
    run: Run, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[str | Path] = ["build", "--kernel", parts.kernel]
    said = run(*words, "-t", "a:1", "--to", f"oci:{tmp_path}/l", exits=2)
    one_line(said, "-t", "--to")
    assert "oci:DIR:NAME" in said.err
    assert not (tmp_path / "l").exists()

    monkeypatch.setenv("ECI_CONVERT_TAG", "a:1")
    run(*words, "--to", f"oci:{tmp_path}/l:b")  # the line decides
    assert (tmp_path / "l").is_dir()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ocii:{folder}", "oci:{folder}"),
        ("oci-archve:{folder}", "oci-archive:{folder}"),
        ("docker:/r.io/x", "docker://r.io/x"),
        ("dockr://r.io/x", "docker://r.io/x"),
        ("container-storage:x", "containers-storage:x"),
        ("docker-deamon:x", "docker-daemon:x"),
        ("my-machine:1", "docker-daemon:my-machine:1"),
    ],
)
@pytest.mark.parametrize("command", ["build", "copy", "verify"])
def test_a_destination_has_a_transport_and_a_typo_gets_the_closest(
    command: str, typed: str, meant: str, run: Run, parts: Parts, layout: Path, tmp_path: Path
) -> None:
    typed, meant = typed.format(folder=tmp_path / "new"), meant.format(folder=tmp_path / "new")
    words: dict[str, list[str | Path]] = {
        "build": ["build", "--kernel", parts.kernel, "--to", typed],
        "copy": ["copy", f"oci:{layout}", typed],
        "verify": ["verify", f"oci:{layout}", "--fix", typed],
    }
    said = run(*words[command], exits=2)
    one_line(said, repr(typed) if "://" not in typed else "unknown transport")
    assert meant in said.err
    assert not (tmp_path / "new").exists()


def test_a_typo_of_a_source_gets_the_closest_too(
    run: Run, layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_docker(tmp_path) as docker:
        monkeypatch.setenv("DOCKER_HOST", docker.environ["DOCKER_HOST"])
        said = run("extract", "ocii:layout", tmp_path / "out", exits=4)
    assert "hint: did you mean 'oci:layout'?" in said.err


@pytest.mark.parametrize("form", ["unikraft", "kubevirt", "legacy"])
def test_the_same_parts_are_the_same_image_wherever_it_is_written(
    form: str, run: Run, parts: Parts, tmp_path: Path
) -> None:
    part = ["--root", f"{parts.root}:raw"] if form == "kubevirt" else ["--kernel", parts.kernel]
    digests = {
        run(*words, "--format", form, *part, "-q").out
        for words in (
            ["build", "--to", f"oci:{tmp_path}/one:edge/machine:1"],
            ["build", "--to", f"oci-archive:{tmp_path}/two.tar:edge/machine:1"],
            ["push", "--remote", tmp_path / "three", "edge/machine:1"],
            ["push", f"oci:{tmp_path}/four:edge/machine:1"],
        )
    }
    assert len(digests) == 1


def test_a_repaired_image_has_the_digest_that_its_place_knows(
    place: tuple[str, Spell], run: Run, parts: Parts, tmp_path: Path
) -> None:
    name, spell = place
    run("build", "--kernel", parts.kernel, "--to", f"oci:{tmp_path}/built:a")
    words: list[str | Path] = [
        "verify",
        f"oci:{tmp_path}/built:a",
        "--fix",
        spell("edge/fixed:1"),
        "--digest-file",
        tmp_path / "digest",
    ]
    run(*words)
    told = (tmp_path / "digest").read_text().strip()
    if name in ("docker", "docker25"):
        assert run("inspect", f"docker-daemon:{told}", "--json").json["parts"]
    elif name == "containers-storage":  # which keeps the manifest, and layers that are not those in it
        assert run("inspect", f"{spell('edge/fixed:1')}@{told}", "--json").json["parts"]
    elif name != "docker-archive":
        assert run("inspect", spell("edge/fixed:1"), "-q").out.strip() == told
