"""`eci-convert inspect`: dialects, sizes, platforms, and the machine that boots an image."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.cli.conftest import Parts
from tests.support.command_line import Run, one_line
from tests.support.images import an_image, copied

LINE = "console=ttyS0"


def in_layout(builder, path: Path) -> str:  # type: ignore[no-untyped-def]
    from eci_convert.transports import open_sink
    from eci_convert.transports.settings import Settings

    copied(builder.build(), open_sink(f"oci:{path}:x", Settings()))
    return f"oci:{path}:x"


@pytest.fixture
def both(run: Run, parts: Parts, tmp_path: Path) -> str:
    """A legacy image that serves KubeVirt as well."""
    words: list[str | Path] = [
        "--kernel",
        parts.kernel,
        "--initrd",
        parts.initrd,
        "--root",
        f"{parts.root}:raw",
        "--cmdline",
        LINE,
    ]
    run("build", "--to", f"oci:{tmp_path}/both", "--also", "containerdisk", "--author", "me", *words)
    return f"oci:{tmp_path}/both"


def test_every_dialect_that_an_image_serves_is_told(run: Run, both: str) -> None:
    said = run("inspect", both, "--json").json

    assert said["dialect"] == "eci-legacy"
    assert said["serves"] == ["eci-legacy", "labels", "containerdisk"]
    assert "dialect:   eci-legacy (also labels, containerdisk)" in run("inspect", both).out


def test_who_made_it_and_when_and_how_large_it_is(run: Run, both: str, tmp_path: Path) -> None:
    said = run("inspect", both, "--json").json
    text = run("inspect", both).out

    assert (said["created"], said["author"]) == ("1970-01-01T00:00:00Z", "me")
    blobs = list((tmp_path / "both" / "blobs" / "sha256").iterdir())
    assert said["size"] == sum(blob.stat().st_size for blob in blobs)
    assert "created:   1970-01-01T00:00:00Z" in text
    assert "author:    me" in text
    assert "cmdline:   console=ttyS0" in text


def test_our_layers_tell_the_sizes_of_their_files(run: Run, both: str, parts: Parts) -> None:
    sizes = {part["role"]: part["size"] for part in run("inspect", both, "--json").json["parts"]}

    assert sizes == {
        "kernel": parts.kernel.stat().st_size, "initrd": parts.initrd.stat().st_size,
        "disk-root": parts.root.stat().st_size, "cmdline": len(LINE),
    }  # fmt: skip


@pytest.mark.parametrize("format", ["legacy", "containerdisk", "artifacts", "kubevirt", "ironcore", "unikraft"])
def test_a_deep_look_tells_what_extract_tells(format: str, run: Run, parts: Parts, tmp_path: Path) -> None:
    words: list[str | Path] = ["--kernel", parts.kernel, "--initrd", parts.initrd] if format != "kubevirt" else []
    words += ["--root", f"{parts.root}:raw"] if format != "unikraft" else []
    run("build", "--to", f"oci:{tmp_path}/l", "--format", format, *words)

    deep = run("inspect", f"oci:{tmp_path}/l", "--deep", "--json").json["parts"]
    extracted = run("extract", f"oci:{tmp_path}/l", tmp_path / "out", "--json").json["parts"]

    for part in extracted:
        path = Path(part.pop("path"))
        assert part["digest"] == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert deep == extracted


def test_a_file_that_a_higher_layer_replaces_is_measured_as_it_is(run: Run, tmp_path: Path) -> None:
    builder = an_image().tar_layer({"k": b"old kernel", "x": b"1"}).tar_layer({"k": b"first", "j": b"", "k2": b""})
    builder = builder.label("org.lfedge.eci.artifact.kernel", "/k").tar_layer({"k": b"new"})

    [part] = run("inspect", in_layout(builder, tmp_path / "l"), "--deep", "--json").json["parts"]

    assert (part["size"], part["digest"]) == (3, "sha256:" + hashlib.sha256(b"new").hexdigest())


def test_an_image_that_declares_nothing_says_so_and_what_can_be_tried(run: Run, tmp_path: Path) -> None:
    reference = in_layout(an_image().tar_layer({"etc/motd": b"hello"}), tmp_path / "l")

    said, told = run("inspect", reference), run("inspect", reference, "--json").json

    assert "dialect:   none: the image declares no parts" in said.out
    assert "--dialect containerdisk" in said.err
    assert "--path IMAGEPATH=FILE" in said.err
    assert (told["dialect"], told["serves"], told["parts"]) == (None, [], [])
    one_line(run("extract", reference, tmp_path / "out", exits=8), "declares no parts")
    one_line(run("extract", reference, tmp_path / "out", "--dialect", "containerdisk", exits=8), "disk")
    assert run("inspect", reference, "--deep", "--json").json["dialect"] is None
    assert not (tmp_path / "out").exists()


def test_a_containerdisk_without_marks_is_found_by_a_deep_look(run: Run, tmp_path: Path) -> None:
    disk = b"QFI\xfb\0\0\0\3" + bytes(2000)
    reference = in_layout(an_image().tar_layer({"disk/": None, "disk/x.img": disk}), tmp_path / "l")
    assert run("inspect", reference, "--json").json["dialect"] is None

    said = run("inspect", reference, "--deep", "--json").json

    assert said["dialect"] == "containerdisk"
    assert [(part["role"], part["type"], part["size"]) for part in said["parts"]] == [("disk-root", "qcow2", len(disk))]
    assert said["parts"][0]["source"]["path"] == "/disk/x.img"


def test_an_index_is_a_tree_of_platforms(run: Run, parts: Parts, tmp_path: Path) -> None:
    for platform in ("linux/amd64", "linux/arm64"):
        words = ["--platform", platform, "--kernel", parts.kernel]
        run("build", "--to", f"oci:{tmp_path}/{platform[6:]}", "--format", "legacy", *words)
    run("index", "create", f"oci:{tmp_path}/both:x", f"oci:{tmp_path}/amd64", f"oci:{tmp_path}/arm64")

    said = run("inspect", f"oci:{tmp_path}/both:x", "--platform", "linux/arm64")
    told = run("inspect", f"oci:{tmp_path}/both:x", "--platform", "linux/arm64", "--json").json

    assert said.out.index("├─ linux/amd64") < said.out.index("└─ linux/arm64")
    assert said.out.count("└─ kernel") == 2
    assert told["platforms"] == ["linux/amd64", "linux/arm64"]
    assert [(one["platform"], one["dialect"]) for one in told["images"]] == [
        ("linux/amd64", "eci-legacy"), ("linux/arm64", "eci-legacy")
    ]  # fmt: skip
    assert all(one["parts"][0]["size"] == parts.kernel.stat().st_size for one in told["images"])
    assert told["platform"] == "linux/arm64"


def test_an_index_of_which_one_image_is_not_there_is_told_all_the_same(run: Run, parts: Parts, tmp_path: Path) -> None:
    for platform in ("linux/amd64", "linux/arm64"):
        words = ["--platform", platform, "--kernel", parts.kernel]
        run("build", "--to", f"oci:{tmp_path}/{platform[6:]}", *words)
    run("index", "create", f"oci:{tmp_path}/both:x", f"oci:{tmp_path}/amd64", f"oci:{tmp_path}/arm64")
    words = [f"oci:{tmp_path}/both:x", "--platform", "linux/amd64"]
    lost = run("inspect", *words, "--json").json["images"][1]["digest"].removeprefix("sha256:")
    (tmp_path / "both" / "blobs" / "sha256" / lost).unlink()

    said, told = run("inspect", *words).out, run("inspect", *words, "--json").json

    assert "└─ linux/arm64" in said
    assert [bool(one["error"]) for one in told["images"]] == [False, True]
    assert told["images"][1]["parts"] == []


def on_a_terminal(*words: str, columns: int = 200) -> str:
    """What the command prints where standard output is a terminal."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "eci_convert", *words]
    with subprocess.Popen(command, stdout=terminal, stderr=subprocess.DEVNULL, env={**os.environ}) as process:
        os.close(terminal)
        chunks = []
        while True:
            try:
                chunk = os.read(controller, 4096)
            except OSError:  # the other end was closed
                break
            if not chunk:
                break
            chunks.append(chunk)
    os.close(controller)
    assert process.returncode == 0
    return b"".join(chunks).decode()


def test_a_terminal_gets_short_digests_and_bars(run: Run, both: str) -> None:
    digest = run("inspect", both, "--json").json["digest"]

    short, full = on_a_terminal("inspect", both), on_a_terminal("inspect", both, "--no-trunc")

    assert digest[: 7 + 12] in short
    assert digest not in short
    assert digest in full
    assert "█" in short
    assert digest in run("inspect", both).out
    assert "█" not in run("inspect", both).out


def test_columns_go_before_lines_wrap(run: Run, tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"kernel")
    image = f"oci:{tmp_path}/layout:m"
    run("build", "--kernel", tmp_path / "k", "--to", image)

    for columns, bars, digests in ((200, True, True), (70, False, True), (64, False, False)):
        printed = on_a_terminal("inspect", image, columns=columns)
        assert ("█" in printed) == bars, columns
        assert ("DIGEST" in printed) == digests, columns
        table = printed.partition("parts:")[2].partition("labels:")[0].splitlines()
        assert max(map(len, table)) <= columns
        assert "kernel" in table[2]
    assert "DIGEST" in on_a_terminal("inspect", image, "--deep", columns=64)


def test_the_machine_that_boots_it(run: Run, both: str) -> None:
    said = run("inspect", both, "--kubevirt")

    assert said.out.startswith("apiVersion: kubevirt.io/v1\nkind: VirtualMachine\n")
    assert "kernelPath: /kernel" in said.out
    assert "initrdPath: /initrd" in said.out
    assert 'kernelArgs: "console=ttyS0"' in said.out
    assert "path: /disk/root.img" in said.out
    assert "registry" in said.err


def test_a_containerdisk_is_one_disk(run: Run, parts: Parts, tmp_path: Path) -> None:
    reference = f"oci:{tmp_path}/l:registry.example/edge/m:1"
    run("build", "--to", reference, "--format", "containerdisk", "--root", f"{parts.root}:raw")

    said = run("inspect", reference, "--kubevirt").out

    assert 'image: "registry.example/edge/m:1"' in said
    assert "kernelBoot" not in said
    assert run("inspect", f"oci:{tmp_path}/l", "--kubevirt").out == said
    assert "name: m\n" in said


def test_no_character_is_two_surrogates_in_yaml(run: Run, parts: Parts, tmp_path: Path) -> None:
    run("build", "--to", f"oci:{tmp_path}/l", "--kernel", parts.kernel, "--cmdline", 'a="\U0001f600 é" \\u')

    said = run("inspect", f"oci:{tmp_path}/l", "--kubevirt").out

    assert r'''kernelArgs: "a=\"\U0001f600 \u00e9\" \\u"''' in said


def test_what_kubevirt_cannot_boot_is_said(run: Run, layout: Path, parts: Parts, tmp_path: Path) -> None:
    one_line(run("inspect", f"oci:{layout}", "--kubevirt", exits=8), "is a blob")
    run("build", "--to", f"oci:{tmp_path}/i", "--initrd", parts.initrd)
    one_line(run("inspect", f"oci:{tmp_path}/i", "--kubevirt", exits=8), "neither a disk nor a kernel")


@pytest.mark.parametrize("words", [["--raw", "--deep"], ["--raw", "--json"], ["--kubevirt", "--json"]], ids=" ".join)
def test_what_prints_something_else_is_chosen_once(words: list[str], run: Run, layout: Path) -> None:
    one_line(run("inspect", f"oci:{layout}", *words, exits=2), *words)


def test_the_yaml_is_this_text(run: Run, both: str) -> None:
    assert run("inspect", both, "--kubevirt").out == VIRTUAL_MACHINE


VIRTUAL_MACHINE = """\
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata:
  name: image
spec:
  runStrategy: Always
  template:
    metadata:
      labels:
        kubevirt.io/domain: image
    spec:
      architecture: amd64
      domain:
        devices:
          disks:
          - name: rootdisk
            disk:
              bus: virtio
          interfaces:
          - name: default
            masquerade: {}
        memory:
          guest: "1Gi"
        firmware:
          kernelBoot:
            container:
              image: IMAGE
              kernelPath: /kernel
              initrdPath: /initrd
            kernelArgs: "console=ttyS0"
      networks:
      - name: default
        pod: {}
      volumes:
      - name: rootdisk
        containerDisk:
          image: IMAGE
          path: /disk/root.img
"""
