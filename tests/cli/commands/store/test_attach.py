"""`attach` and `discover`: files that refer to an image, in every place that keeps such things."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eci_convert.oci.digest import Digest
from eci_convert.testing import FaultyRegistry, refusal, unheard
from tests.cli.conftest import Parts
from tests.support.command_line import Run, one_line
from tests.support.fake_registry.server import a_registry

TITLE = "org.opencontainers.image.title"


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with a_registry() as running:
        yield running


@pytest.fixture(params=["api", "tags", "layout"])
def image(request: pytest.FixtureRequest, run: Run, registry: FaultyRegistry, parts: Parts, tmp_path: Path) -> str:
    """An image in a registry with the referrers API, in one without, and in a layout."""
    registry.has_referrers = request.param == "api"
    name = f"oci:{tmp_path}/place:edge" if request.param == "layout" else f"docker://{registry.host}/edge:1"
    run("push", f"oci:{tmp_path}/made:1", "--kernel", parts.kernel)
    run("copy", f"oci:{tmp_path}/made:1", name)
    return name


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "build.log"
    path.write_text("it was built\n")
    return path


Manifest = Callable[[str, str], dict[str, object]]


@pytest.fixture
def manifest(run: Run) -> Manifest:
    """The manifest with a digest, beside an image."""

    def read(image: str, digest: str) -> dict[str, object]:
        place = image.removesuffix(":edge") + ":" if image.startswith("oci:") else image.removesuffix(":1")
        found: dict[str, object] = json.loads(run("inspect", f"{place}@{digest}", "--raw").out)
        return found

    return read


def test_what_is_attached_is_discovered(run: Run, image: str, log: Path, manifest: Manifest) -> None:
    before = run("inspect", image, "--raw").out
    attached = run(
        "attach", image, f"{log}:text/plain", "--artifact-type", "build/log", "--annotation", "job=17", "--json"
    ).json
    assert attached["subject"] == str(Digest.of(before.encode()))

    found = run("discover", image, "--json").json

    [one] = found["referrers"]
    assert one["digest"] == attached["digest"]
    assert one["artifact_type"] == "build/log"
    assert one["annotations"] == {"job": "17"}
    assert found["digest"] == attached["subject"]
    written = manifest(image, one["digest"])
    assert written["artifactType"] == "build/log"
    assert written["subject"]["digest"] == attached["subject"]  # type: ignore[index]
    assert written["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"  # type: ignore[index]
    assert [(layer["mediaType"], layer["annotations"]) for layer in written["layers"]] == [  # type: ignore[attr-defined]
        ("text/plain", {TITLE: "build.log"})
    ]
    assert run("inspect", image, "--raw").out == before, "the image is another one"


def test_the_same_files_are_attached_once(run: Run, image: str, log: Path) -> None:
    words: list[str | Path] = ["attach", image, log, "--artifact-type", "build/log", "-q"]
    first, second = run(*words).out, run(*words).out
    assert first == second
    assert run("discover", image, "-q").out == first


def test_types_choose_and_referrers_have_referrers(run: Run, image: str, log: Path) -> None:
    a_log = run("attach", image, log, "--artifact-type", "build/log", "-q").out.strip()
    run("attach", image, "--artifact-type", "build/note", "--annotation", "text=fine", "-q")
    its = image.removesuffix(":edge") + f":@{a_log}" if image.startswith("oci:") else image + f"@{a_log}"
    signature = run("attach", its, log, "--artifact-type", "a/signature", "-q").out.strip()

    lines = run("discover", image).out.splitlines()
    assert [line.split()[0] for line in lines] == ["ARTIFACT", "build/log", "a/signature", "build/note"]
    assert lines[2].startswith("  a/signature")
    assert run("discover", image, "--artifact-type", "build/log", "-q").out.split() == [a_log, signature]
    assert run("discover", image, "--artifact-type", "a/signature", "-q").out == ""
    assert "text=fine" in run("discover", image, "-v").out


def test_a_copy_takes_along_what_is_attached(run: Run, image: str, log: Path, tmp_path: Path) -> None:
    digest = run("attach", image, log, "--artifact-type", "build/log", "-q").out
    run("copy", image, f"oci:{tmp_path}/copied:1", "--referrers")
    assert run("discover", f"oci:{tmp_path}/copied:1", "-q").out == digest


def test_one_image_of_an_index_is_attached_to(run: Run, parts: Parts, log: Path, tmp_path: Path) -> None:
    run("push", f"oci:{tmp_path}/made:1", "--kernel", parts.kernel, "--arch", "arm64")
    run("copy", f"oci:{tmp_path}/made:1", f"oci:{tmp_path}/index:1", "--format", "ironcore")
    image = f"oci:{tmp_path}/index:1"
    run("attach", image, log, "--artifact-type", "of/one", "--platform", "linux/arm64")
    run("attach", image, log, "--artifact-type", "of/all")
    assert [one["artifact_type"] for one in run("discover", image, "--json").json["referrers"]] == ["of/all"]
    arm = run("discover", image, "--platform", "linux/arm64", "--json").json
    assert [one["artifact_type"] for one in arm["referrers"]] == ["of/one"]


def test_a_layout_of_one_image_needs_no_name(run: Run, parts: Parts, log: Path, tmp_path: Path) -> None:
    run("push", f"oci:{tmp_path}/made:1", "--kernel", parts.kernel)
    said = run("attach", f"oci:{tmp_path}/made", log, "--artifact-type", "build/log")
    assert "warning" not in said.err
    assert len(run("discover", f"oci:{tmp_path}/made", "-q").out.split()) == 1


def test_a_registry_that_refuses_artifact_types_is_told_in_the_old_way(
    run: Run, registry: FaultyRegistry, parts: Parts, log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    name = f"{registry.host}/edge:1"
    run("push", name, "--kernel", parts.kernel)
    registry.misbehave("PUT", "/manifests/sha256", unheard(refusal(400, "MANIFEST_INVALID", "artifactType")))
    assert "without" in run("attach", name, log, "--artifact-type", "build/log").err
    [one] = run("discover", name, "--json").json["referrers"]
    assert one["artifact_type"] == "build/log"
    registry.misbehave("PUT", "/manifests/sha256", unheard(refusal(400, "MANIFEST_INVALID", "artifactType")))
    one_line(run("attach", name, log, "--artifact-type", "b/c", "--compat", "strict", exits=3), "artifactType")


def test_a_dry_run_attaches_nothing(run: Run, image: str, log: Path) -> None:
    assert "would be written" in run("attach", image, log, "--artifact-type", "build/log", "--dry-run").out
    assert run("discover", image, "-q").out == ""


def test_nothing_attached_is_no_error(run: Run, image: str) -> None:
    found = run("discover", image)
    assert found.out == ""
    assert "nothing refers to" in found.err
    assert run("discover", image, "--json").json["referrers"] == []


def test_a_place_that_keeps_no_referrers_is_an_error(run: Run, parts: Parts, log: Path, tmp_path: Path) -> None:
    run("build", "--to", f"docker-archive:{tmp_path}/a.tar:edge:1", "--kernel", parts.kernel)
    for place in ("docker-archive", "oci-archive"):
        said = run("attach", f"{place}:{tmp_path}/a.tar", log, "--artifact-type", "a/b", exits=8)
        one_line(said, f"{place}: files cannot be attached")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["missing.log", "--artifact-type", "a/b"], 4, "missing.log"),
        (["{log}", "--artifact-type", "nonsense"], 2, "nonsense"),
        (["{log}:no-type", "--artifact-type", "a/b"], 2, "no-type"),
        (["{log}", "{log}", "--artifact-type", "a/b"], 2, "two files"),
        (["{folder}", "--artifact-type", "a/b"], 9, "regular file"),
        (["--artifact-type", "a/b"], 2, "nothing to attach"),
        (["{log}"], 2, "--artifact-type"),
    ],
)
def test_what_makes_no_sense_is_said(
    words: list[str], code: int, said: str, run: Run, layout: Path, log: Path, tmp_path: Path
) -> None:
    filled = [word.format(log=log, folder=tmp_path) for word in words]
    one_line(run("attach", f"oci:{layout}", *filled, exits=code), said)
    assert run("discover", f"oci:{layout}", "-q").out == ""


def test_an_image_that_is_not_there_is_said(run: Run, registry: FaultyRegistry, log: Path) -> None:
    one_line(run("attach", f"{registry.host}/no:1", log, "--artifact-type", "a/b", exits=4), "no")
    one_line(run("discover", f"{registry.host}/no:1", exits=4), "no")


def test_a_file_whose_name_holds_a_colon(run: Run, layout: Path, tmp_path: Path) -> None:
    path = tmp_path / "a:b"
    path.write_text("x")
    run("attach", f"oci:{layout}", path, "--artifact-type", "a/b")
    run("attach", f"oci:{layout}", f"{path}:text/plain", "--artifact-type", "a/c")
    assert len(run("discover", f"oci:{layout}", "-q").out.split()) == 2


@pytest.mark.parametrize("deletes", [{"digests"}, {"digests", "tags"}], ids=["by digest alone", "tags too"])
@pytest.mark.parametrize("has_api", [True, False])
def test_what_was_attached_can_be_deleted(
    run: Run, registry: FaultyRegistry, parts: Parts, log: Path, has_api: bool, deletes: set[str]
) -> None:
    """Distribution-spec v1.1.1, "Deleting Manifests": off the tag too, which goes with its last entry."""
    registry.has_referrers, registry.deletes = has_api, frozenset(deletes)
    name = f"docker://{registry.host}/edge"
    run("push", f"{name}:1", "--kernel", parts.kernel)
    one, two = (
        run("attach", f"{name}:1", log, "--artifact-type", kind, "-q").out.strip() for kind in ("a/one", "a/two")
    )

    run("delete", f"{name}@{one}")
    left = run("discover", f"{name}:1", "-q")
    run("delete", f"{name}@{two}")
    none = run("discover", f"{name}:1")
    names = {place for _, place in registry.manifests if not place.startswith("sha256:")}

    assert left.out.split() == [two]
    assert "warning" not in left.err + none.err
    assert "nothing refers to" in none.err
    assert names == {"1"}


def test_a_dry_run_of_delete_leaves_the_list_under_the_tag(
    run: Run, registry: FaultyRegistry, parts: Parts, log: Path
) -> None:
    registry.has_referrers = False
    name = f"docker://{registry.host}/edge"
    run("push", f"{name}:1", "--kernel", parts.kernel)
    one = run("attach", f"{name}:1", log, "--artifact-type", "a/one", "-q").out.strip()
    before = dict(registry.manifests)

    run("delete", f"{name}@{one}", "--dry-run")

    assert registry.manifests == before


def test_a_referrer_that_lost_a_tag_stays_listed(run: Run, registry: FaultyRegistry, parts: Parts, log: Path) -> None:
    registry.has_referrers = False
    name = f"docker://{registry.host}/edge"
    run("push", f"{name}:1", "--kernel", parts.kernel)
    one = run("attach", f"{name}:1", log, "--artifact-type", "a/one", "-q").out.strip()
    run("tag", f"{name}@{one}", "log")

    run("delete", f"{name}:log")

    assert ("edge", "log") not in registry.manifests
    assert run("discover", f"{name}:1", "-q").out.split() == [one]
