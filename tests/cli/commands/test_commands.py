"""Each verb does its job, over layouts, and says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eci_convert.oci.annotations import REF_NAME
from tests.cli.conftest import Parts
from tests.support.command_line import Run, one_line


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_what_is_pushed_is_pulled_byte_for_byte(form: str, run: Run, parts: Parts, tmp_path: Path) -> None:
    pushed = run("push", "--remote", tmp_path / "layout", "edge/machine:1", *parts.words, "--format", form)
    assert "Pushed image edge/machine:1 to" in pushed.out

    run("pull", "--remote", tmp_path / "layout", "edge/machine:1", "--dir", tmp_path / "out")

    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "config.json", "disk-0-data.iso", "disk-root-root.img", "initrd", "kernel",
    ]  # fmt: skip
    assert (out / "kernel").read_bytes() == parts.kernel.read_bytes()
    assert (out / "disk-root-root.img").read_bytes() == parts.root.read_bytes()
    assert (out / "disk-0-data.iso").read_bytes() == parts.disk.read_bytes()
    assert (out / "disk-root-root.img").stat().st_blocks * 512 < 1 << 20, "its holes were filled"


def test_options_of_eci_may_stand_before_the_verb(run: Run, parts: Parts, tmp_path: Path) -> None:
    run("--remote", tmp_path / "layout", "--debug=false", "push", "edge:1", "--kernel", parts.kernel, "--verbose=true")
    run("--remote", f"file://{tmp_path}/layout", "pullfiles", "edge:1", "--kernel", tmp_path / "k", "--blocksize", "99")
    assert (tmp_path / "k").read_bytes() == parts.kernel.read_bytes()


def test_a_second_pullfiles_replaces_and_takes_extra_disks(
    run: Run, parts: Parts, layout: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        run("pullfiles", "--remote", layout, "edge/machine:1", "--kernel", tmp_path / "k", "--disk", f"0={tmp_path}/d")
    assert (tmp_path / "k").read_bytes() == parts.kernel.read_bytes()
    assert (tmp_path / "d").read_bytes() == parts.disk.read_bytes()


def test_extract_tells_programs_what_it_wrote(run: Run, parts: Parts, layout: Path, tmp_path: Path) -> None:
    found = run("extract", f"oci:{layout}", tmp_path / "out", "--json").json
    assert found["dialect"] == "eci-artifacts"
    assert found["reference"] == f"oci:{layout}"
    kernel = found["parts"][0]
    assert kernel["role"] == "kernel"
    assert kernel["path"] == str(tmp_path / "out/kernel")
    assert kernel["size"] == parts.kernel.stat().st_size
    assert kernel["digest"].startswith("sha256:")
    assert [(part["role"], part["index"], part["type"]) for part in found["parts"]] == [
        ("kernel", None, None), ("initrd", None, None), ("disk-root", None, "raw"), ("disk-additional", 0, "iso"),
    ]  # fmt: skip


def test_one_part_goes_to_standard_output(run: Run, parts: Parts, layout: Path) -> None:
    assert run("extract", f"oci:{layout}", "--kernel", "-").out == parts.kernel.read_text()


def test_only_narrows_the_parts(run: Run, layout: Path, tmp_path: Path) -> None:
    run("extract", f"oci:{layout}", tmp_path / "out", "--only", "kernel", "--only", "disk-additional")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["disk-0-data.iso", "kernel"]


def test_inspect_says_what_is_there(run: Run, layout: Path) -> None:
    said = run("inspect", f"oci:{layout}").out
    assert "eci-artifacts" in said
    assert "disk-0-data.iso" in said
    found = run("inspect", f"oci:{layout}", "--json").json
    assert {"labels", "annotations", "config", "platforms"} <= set(found)
    assert all("path" not in part for part in found["parts"])
    manifest = json.loads(run("inspect", f"oci:{layout}", "--raw").out)
    assert manifest["schemaVersion"] == 2


def test_copy_keeps_every_digest_and_reexpresses_when_asked(
    run: Run, parts: Parts, layout: Path, tmp_path: Path
) -> None:
    kept = run("copy", f"oci:{layout}:edge/machine:1", f"oci:{tmp_path}/kept:x", "--json").json
    assert kept["digest"] == run("inspect", f"oci:{layout}", "--json").json["digest"]

    run("copy", f"oci:{layout}", f"oci:{tmp_path}/legacy:x", "--format", "legacy")
    run("extract", f"oci:{tmp_path}/legacy", tmp_path / "out")
    assert (tmp_path / "out/disk-root-root.img").read_bytes() == parts.root.read_bytes()


def test_copy_compresses_what_an_engine_left_raw_where_it_is_told_to(run: Run, parts: Parts, tmp_path: Path) -> None:
    def media_types(layout: Path) -> set[str]:
        digest = run("inspect", f"oci:{layout}", "--json").json["digest"].removeprefix("sha256:")
        return {layer["mediaType"] for layer in json.loads((layout / "blobs/sha256" / digest).read_text())["layers"]}

    run("build", "--kernel", parts.kernel, "--to", f"docker-archive:{tmp_path}/a:m:1")
    run("copy", f"docker-archive:{tmp_path}/a", f"oci:{tmp_path}/kept:m")
    run("copy", f"docker-archive:{tmp_path}/a", f"oci:{tmp_path}/gzip:m", "--compression", "gzip")
    run("copy", f"docker-archive:{tmp_path}/a", f"oci:{tmp_path}/zstd:m", "--compression", "zstd:1")

    assert media_types(tmp_path / "kept") == {"application/vnd.oci.image.layer.v1.tar"}
    assert media_types(tmp_path / "gzip") == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    assert media_types(tmp_path / "zstd") == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    assert "--compression" in run("copy", f"oci:{tmp_path}/kept", f"oci:{tmp_path}/x:m", "--compression", "zstd",
                                  "--referrers", exits=2).err  # fmt: skip


@pytest.mark.parametrize("verb", ["push", "extract", "copy"])
def test_a_dry_run_writes_nothing(verb: str, run: Run, parts: Parts, layout: Path, tmp_path: Path) -> None:
    lines: dict[str, list[str | Path]] = {
        "push": ["push", "--remote", tmp_path / "new", "a:1", *parts.words],
        "extract": ["extract", f"oci:{layout}", tmp_path / "new"],
        "copy": ["copy", f"oci:{layout}", f"oci:{tmp_path}/new:a"],
    }
    said = run(*lines[verb], "--dry-run")
    assert "would" in said.out
    assert not (tmp_path / "new").exists()


def test_a_repair_into_a_layout_of_several_images_is_checked_there(run: Run, layout: Path, parts: Parts) -> None:
    run("push", "--remote", layout, "other:1", "--kernel", parts.kernel)

    said = run("verify", f"oci:{layout}:edge/machine:1", "--fix", f"oci:{layout}")

    assert said.out.startswith(f"oci:{layout}:@sha256:")


def test_a_digest_file_holds_the_digest(run: Run, parts: Parts, tmp_path: Path) -> None:
    words: list[str | Path] = ["push", "--remote", tmp_path / "l", "a:1", "--kernel", parts.kernel]
    found = run(*words, "--digest-file", tmp_path / "d", "--json").json
    assert (tmp_path / "d").read_text() == found["digest"] + "\n"


def test_the_same_parts_make_the_same_image(run: Run, parts: Parts, tmp_path: Path) -> None:
    words = [*parts.words, "--format", "legacy", "--compression", "none", "--arch", "amd64", "--json"]
    digests = set()
    for place in ("one", "two"):
        parts.kernel.touch()
        digests.add(run("push", "--remote", tmp_path / place, "a:1", *words).json["digest"])
    assert len(digests) == 1


def test_source_date_epoch_is_every_time_written(
    run: Run, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    run("push", "--remote", tmp_path / "l", "a:1", "--kernel", parts.kernel, "--format", "legacy")
    config = run("inspect", f"oci:{tmp_path}/l", "--json").json["config"]
    assert config["created"].startswith("2020-09-13T12:26:40")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    one_line(run("push", "--remote", tmp_path / "l", "a:1", "--kernel", parts.kernel, exits=2), "SOURCE_DATE_EPOCH")


def test_every_option_is_a_variable_too(
    run: Run, layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECI_CONVERT_JSON", "1")
    monkeypatch.setenv("ECI_CONVERT_KERNEL", str(tmp_path / "k"))
    assert run("extract", f"oci:{layout}").json["parts"][0]["path"] == str(tmp_path / "k")


def test_completion_is_printed_for_every_shell(run: Run) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_ECI_CONVERT_COMPLETE" in run("completion", shell).out


def test_a_terminal_never_gets_an_escape_from_an_image(run: Run, parts: Parts, tmp_path: Path) -> None:
    run(
        "push",
        "--remote",
        tmp_path / "l",
        "a:1",
        "--kernel",
        parts.kernel,
        "--label",
        "x=\x1b[31mred",
        "--format",
        "legacy",
    )
    said = run("inspect", f"oci:{tmp_path}/l")
    assert "\x1b" not in said.out
    assert "\\x1b[31mred" in said.out


def test_a_file_that_the_shell_has_opened_is_written_into(parts: Parts, layout: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m eci_convert extract oci:{layout} --kernel /dev/stdout > {tmp_path}/k"
    subprocess.run(["bash", "-c", command], check=True)
    assert (tmp_path / "k").read_bytes() == parts.kernel.read_bytes()
    assert Path("/dev/stdout").is_symlink()

    command = (
        f"{sys.executable} -m eci_convert extract oci:{layout} --kernel >(cat > {tmp_path}/c) --initrd {tmp_path}/i"
    )
    subprocess.run(["bash", "-c", f"{command}; wait $!"], check=True)
    assert (tmp_path / "c").read_bytes() == parts.kernel.read_bytes()
    assert (tmp_path / "i").read_bytes() == parts.initrd.read_bytes()


@pytest.mark.parametrize("place", ["/dev/stderr", "/proc/self/environ", "/dev/null"])
def test_what_is_no_place_for_files_is_refused(place: str, layout: Path, run: Run) -> None:
    before = os.lstat(place).st_mode
    one_line(run("extract", f"oci:{layout}", "--kernel", place, exits=9), place)
    assert os.lstat(place).st_mode == before


def test_a_dialect_that_writes_a_name_down_gets_that_of_the_image(run: Run, parts: Parts, tmp_path: Path) -> None:
    run("push", f"oci:{tmp_path}/layout:k", "--kernel", parts.kernel)
    run("copy", f"oci:{tmp_path}/layout:k", f"oci-archive:{tmp_path}/x.tar:acme.io/hello:1", "--format", "unikraft")

    found = run("inspect", f"oci-archive:{tmp_path}/x.tar", "--json").json["annotations"]

    assert found["io.containerd.image.name"] == "acme.io/hello:1"
    assert found["org.unikraft.image.name"] == "acme.io/hello"


def test_a_push_to_a_directory_is_what_the_original_pulls_next(run: Run, parts: Parts, tmp_path: Path) -> None:
    """It takes the first entry of index.json, and calls its own `NAME@DIGEST` (docs/specs/eci.md#D3 and
    docs/specs/eci.md#D5)."""
    layout, name = tmp_path / "layout", "registry.example/edge/machine:1"
    first = run("push", "--remote", layout, name, "--kernel", parts.kernel, "--json").json["digest"]
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0]["annotations"][REF_NAME] = f"{name}@{first}"
    (layout / "index.json").write_text(json.dumps(index))
    run("push", "--remote", layout, "registry.example/other:1", "--initrd", parts.initrd)

    last = run("push", "--remote", f"file://{layout}", name, *parts.words, "--json").json["digest"]

    entries = json.loads((layout / "index.json").read_text())["manifests"]
    assert [(entry["annotations"][REF_NAME], entry["digest"] == last) for entry in entries] == [
        (name, True), ("registry.example/other:1", False)
    ]  # fmt: skip


@pytest.mark.parametrize("spelling", ["{digest}", "@{digest}", "{hex:.12}", "sha256:{hex:.12}", "{hex}"])
def test_an_image_of_a_layout_is_named_by_its_id(spelling: str, run: Run, parts: Parts, layout: Path) -> None:
    digest = run("inspect", f"oci:{layout}", "--json").json["digest"]
    run("push", "--remote", layout, "other:1", "--initrd", parts.initrd)
    named = spelling.format(digest=digest, hex=digest.partition(":")[2])

    assert run("inspect", f"oci:{layout}:{named}", "--json").json["digest"] == digest


def test_the_beginning_of_an_id_has_to_be_that_of_one_image(run: Run, layout: Path) -> None:
    index = json.loads((layout / "index.json").read_text())
    [entry] = index["manifests"]
    twin = {**entry, "digest": entry["digest"][:-8] + "00000000", "annotations": {REF_NAME: "twin"}}
    (layout / "index.json").write_text(json.dumps(index | {"manifests": [entry, twin]}))

    one_line(run("inspect", f"oci:{layout}:{entry['digest'][7:19]}", exits=8), "2 images", "'edge/machine:1', 'twin'")


def test_a_build_does_not_depend_on_what_its_name_stood_for(run: Run, parts: Parts, tmp_path: Path) -> None:
    """The same parts make the same image, whatever compressed them before."""
    words = ("build", "--root", f"{parts.root}:raw", "--json", "--to")
    before = run(*words, f"oci:{tmp_path}/other:x", "--compression", "gzip:9").json["digest"]
    fresh = run(*words, f"oci:{tmp_path}/fresh:x").json["digest"]
    assert before != fresh
    assert run(*words, f"oci:{tmp_path}/other:x").json["digest"] == fresh
