"""`eci-convert ls` and `eci-convert diff`, as scripts use them."""

from __future__ import annotations

from pathlib import Path

import pytest

from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
from tests.cli.conftest import Parts
from tests.support.command_line import Run, one_line
from tests.support.images import an_image, copied


def build(run: Run, place: str, parts: Parts, *more: str | Path, format: str = "legacy") -> str:
    words: list[str | Path] = ["--kernel", parts.kernel, "--initrd", parts.initrd, "--root", f"{parts.root}:raw"]
    run("build", "--to", place, "--format", format, *words, *more)
    return place


def test_a_listing_is_lines_of_mode_size_and_name(run: Run, parts: Parts, tmp_path: Path) -> None:
    image = build(run, f"oci:{tmp_path}/l", parts, format="containerdisk")

    said = run("ls", image).out
    told = run("ls", image, "/disk", "--json").json

    assert [line.split() for line in said.splitlines()] == [
        ["drwxr-xr-x", "-", "/boot"],
        ["drwxr-xr-x", "-", "/disk"],
        ["-r--r-----", "6000", "/boot/initrd"],
        ["-r--r-----", "6000", "/boot/vmlinuz"],
        ["-r--r-----", "8388608", "/disk/root.img"],
    ]
    assert [(file["path"], file["type"], file["mode"]) for file in told["files"]] == [
        ("/disk", "directory", "0755"), ("/disk/root.img", "file", "0440")
    ]  # fmt: skip


def test_an_artifact_is_a_list_of_titles(run: Run, layout: Path) -> None:
    assert run("ls", f"oci:{layout}").out.split()[2::3] == [
        "kernel", "initrd", "disk-root-root.img", "disk-0-data.iso"
    ]  # fmt: skip
    assert run("ls", f"oci:{layout}", "disk-*", "--json").json["files"][1]["path"] == "disk-0-data.iso"
    one_line(run("ls", f"oci:{layout}", "*.qcow2", exits=8), "matches", "*.qcow2")


@pytest.mark.parametrize("format", ["artifacts", "containerdisk", "legacy", "ironcore"])
def test_the_same_parts_are_the_same_in_every_format(format: str, run: Run, parts: Parts, tmp_path: Path) -> None:
    first = build(run, f"oci:{tmp_path}/a", parts)
    second = build(run, f"oci:{tmp_path}/b", parts, format=format)

    assert run("diff", first, second).out == ""
    assert run("diff", first, second, "--json").json["same"] is True


def test_a_part_that_differs_is_told(run: Run, parts: Parts, tmp_path: Path) -> None:
    first = build(run, f"oci:{tmp_path}/a", parts, "--label", "v=1", "--cmdline", "quiet")
    parts.kernel.write_bytes(b"another")
    second = build(run, f"oci:{tmp_path}/b", parts, "--label", "v=2", "--other", f"N={parts.kernel}")

    text = run("diff", first, second, exits=10)
    told = run("diff", first, second, "--json", exits=10).json

    assert "linux/amd64 kernel: 5.9 KiB" in text.out.replace(told["parts"][0]["platform"], "linux/amd64")
    assert text.err == ""
    assert [(part["role"], bool(part["a"]), bool(part["b"])) for part in told["parts"]] == [
        ("kernel", True, True), ("cmdline", True, False), ("other", False, True)
    ]  # fmt: skip
    assert told["parts"][0]["b"]["size"] == len(b"another")
    assert [(label["key"], label["a"], label["b"]) for label in told["labels"]] == [("v", "1", "2")]
    assert told["same"] is False


def test_platforms_that_one_image_lacks_are_told(run: Run, parts: Parts, tmp_path: Path) -> None:
    for platform in ("linux/amd64", "linux/arm64"):
        build(run, f"oci:{tmp_path}/{platform[6:]}", parts, "--platform", platform)
    run("index", "create", f"oci:{tmp_path}/both:x", f"oci:{tmp_path}/amd64", f"oci:{tmp_path}/arm64")

    told = run("diff", f"oci:{tmp_path}/both:x", f"oci:{tmp_path}/amd64", "--json", exits=10).json
    assert told["platforms"] == {"only_a": ["linux/arm64"], "only_b": []}
    assert told["parts"] == []
    one, other = f"oci:{tmp_path}/both:x", f"oci:{tmp_path}/amd64"
    assert "linux/arm64: only in B" in run("diff", other, one, exits=10).out
    run("diff", one, other, "--platform", "linux/amd64")


def test_images_without_parts_are_compared_by_their_layers(run: Run, tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        builder = an_image().tar_layer({"etc/motd": content}, compression="gzip" if name == "c" else "none")
        copied(builder.build(), open_sink(f"oci:{tmp_path}/{name}:x", Settings()))

    assert "declares parts" in run("diff", f"oci:{tmp_path}/a", f"oci:{tmp_path}/b", exits=10).out
    run("diff", f"oci:{tmp_path}/a", f"oci:{tmp_path}/c")


def test_one_that_is_not_there_is_no_difference(run: Run, layout: Path) -> None:
    one_line(run("diff", f"oci:{layout}", f"oci:{layout}:other", exits=4))
    run("diff", f"oci:{layout}", f"oci:{layout}")


def test_diff_reads_no_part_that_is_too_large(run: Run, tmp_path: Path) -> None:
    for name, content in (("a", b"k" * 5000), ("b", b"l" * 5000)):
        (tmp_path / name).write_bytes(content)
        run("build", "--kernel", tmp_path / name, "--to", f"oci:{tmp_path}/layout:{name}")
    names = [f"oci:{tmp_path}/layout:{name}" for name in "ab"]

    said = run("diff", *names, "--max-size", "4K", exits=7)

    one_line(said, "'kernel' is larger than the limit of 4096 bytes")
    run("diff", *names, "--max-size", "5000", exits=10)


def test_inspect_reads_no_part_that_is_too_large(run: Run, tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(bytes(5000))
    run("build", "--kernel", tmp_path / "k", "--to", f"oci:{tmp_path}/layout:a")
    for deep in ([], ["--deep"]):
        said = run("inspect", f"oci:{tmp_path}/layout:a", *deep, "--max-size", "4K", exits=7)
        one_line(said, "'kernel' is larger than the limit")
