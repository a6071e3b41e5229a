"""`extract --names`, `--path` of artifacts, and outputs that are no files."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
from tests.cli.conftest import Parts
from tests.support.command_line import Run, one_line
from tests.support.images import ImageBuilder, an_image, copied, files_in


def stored(builder: ImageBuilder, path: Path) -> str:
    copied(builder.build(), open_sink(f"oci:{path}:x", Settings()))
    return f"oci:{path}:x"


@pytest.mark.parametrize(
    ("format", "names"),
    [
        ("artifacts", {"kernel", "disk-root-root.img"}),
        ("legacy", {"kernel", "disk-root-root.img"}),
        ("containerdisk", {"vmlinuz", "root.img"}),
    ],
)
def test_the_names_of_the_image_are_kept(format: str, names: set[str], run: Run, parts: Parts, tmp_path: Path) -> None:
    words: list[str | Path] = ["--kernel", parts.kernel, "--root", f"{parts.root}:raw"]
    run("build", "--to", f"oci:{tmp_path}/l", "--format", format, *words)

    run("extract", f"oci:{tmp_path}/l", tmp_path / "image", "--names", "image")
    run("extract", f"oci:{tmp_path}/l", tmp_path / "eci")

    assert set(files_in(tmp_path / "image")) == names
    assert set(files_in(tmp_path / "eci")) == {"kernel", "disk-root-root.img"}


def test_a_compressed_disk_loses_the_suffix_with_the_compression(run: Run, parts: Parts, tmp_path: Path) -> None:
    run("build", "--to", f"oci:{tmp_path}/l", "--format", "kubevirt", "--root", f"{parts.root}:raw")

    run("extract", f"oci:{tmp_path}/l", tmp_path / "out", "--names", "image")

    assert set(files_in(tmp_path / "out")) == {"root.img"}


def test_two_files_of_one_name_are_an_error(run: Run, tmp_path: Path) -> None:
    builder = an_image().tar_layer({"a/x": b"1", "b/x": b"2"})
    for label, path in (("kernel", "/a/x"), ("initrd", "/b/x")):
        builder = builder.label(f"org.lfedge.eci.artifact.{label}", path)

    one_line(run("extract", stored(builder, tmp_path / "l"), tmp_path / "o", "--names", "image", exits=8), "two parts")
    assert not (tmp_path / "o").exists()


def test_names_need_a_directory(run: Run, layout: Path, tmp_path: Path) -> None:
    words: list[str | Path] = ["--kernel", tmp_path / "k", "--names", "image"]
    one_line(run("extract", f"oci:{layout}", *words, exits=2), "--names")


def test_a_layer_of_an_artifact_is_taken_by_its_title(run: Run, layout: Path, parts: Parts, tmp_path: Path) -> None:
    said = run("extract", f"oci:{layout}", "--path", f"disk-0-data.iso={tmp_path}/d", "--json").json

    assert (tmp_path / "d").read_bytes() == parts.disk.read_bytes()
    assert said["parts"][0]["source"]["path"] is None
    assert said["parts"][0]["source"]["blob"].startswith("sha256:")
    one_line(run("extract", f"oci:{layout}", "--path", f"other={tmp_path}/o", exits=8), "'other'")


PLAIN = (
    an_image()
    .config(b"{}", "application/vnd.oci.empty.v1+json")
    .typed("application/vnd.oci.image.manifest.v1+json", "application/vnd.example")
)


def test_so_is_one_of_an_artifact_of_any_other_tool(run: Run, tmp_path: Path) -> None:
    builder = PLAIN.layer("application/vnd.oci.image.layer.v1.tar", b"no archive", title="notes/a.txt")
    reference = stored(builder.layer("text/plain", b"untitled"), tmp_path / "l")
    digest = run("ls", reference, "--json").json["files"][1]["path"]

    run("extract", reference, "--path", f"notes/a.txt={tmp_path}/a", "--path", f"{digest}={tmp_path}/b")

    assert (tmp_path / "a").read_bytes() == b"no archive"
    assert (tmp_path / "b").read_bytes() == b"untitled"
    one_line(run("extract", reference, tmp_path / "out", exits=8), "declares no parts")
    assert "--path TITLE=FILE" in run("inspect", reference).err


def test_a_title_that_two_layers_have_is_ambiguous(run: Run, tmp_path: Path) -> None:
    builder = PLAIN.layer("text/plain", b"1", title="a").layer("text/plain", b"2", title="a")
    one_line(run("extract", stored(builder, tmp_path / "l"), "--path", f"a={tmp_path}/a", exits=8), "2 layers", "'a'")


def test_a_part_is_not_written_to_a_terminal(layout: Path) -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "eci_convert", "extract", f"oci:{layout}", "--kernel", "-"]
    done = subprocess.run(command, stdout=terminal, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(terminal)
    os.close(controller)

    assert done.returncode == 2
    assert "terminal" in done.stderr
