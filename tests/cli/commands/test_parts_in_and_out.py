"""`--cmdline` and `--other`: into images of every format with a place for them, and out again."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from eci_convert.dialects import WRITERS
from eci_convert.model import Role
from tests.cli.conftest import QCOW2, Parts
from tests.support.command_line import Run, one_line
from tests.support.generate_readme_tables import holds

LINE = 'console=ttyS0 root=/dev/vda quiet init="/bin/a b"'


@pytest.fixture
def raw(parts: Parts) -> Path:
    path = parts.root.with_name("blank.raw")
    path.write_bytes(bytes(4096))
    return path


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.md"
    path.write_bytes(b"notes")
    return path


def words_for(format: str, parts: Parts, raw: Path) -> list[str | Path]:
    files: dict[Role, list[str | Path]] = {
        Role.KERNEL: ["--kernel", parts.kernel],
        Role.INITRD: ["--initrd", parts.initrd],
        Role.ROOT_DISK: ["--root", raw],
    }
    return [word for role, words in files.items() if holds(format, role) for word in words]


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize("command", ["push", "build"])
def test_a_command_line_goes_in_and_comes_out(
    command: str, format: str, run: Run, parts: Parts, raw: Path, tmp_path: Path
) -> None:
    (tmp_path / "line").write_text(LINE + "\n")
    place: list[str | Path] = ["push", "--remote", tmp_path / "l", "a:1"]
    if command == "build":
        place = ["build", "--to", f"oci:{tmp_path}/l:a:1"]
    text = LINE if command == "push" else f"@{tmp_path}/line"
    run(*place, "--format", format, "--cmdline", text, *words_for(format, parts, raw))

    said = run("extract", f"oci:{tmp_path}/l", tmp_path / "out", "--json").json

    assert (tmp_path / "out" / "cmdline").read_text() == LINE
    [part] = [part for part in said["parts"] if part["role"] == "cmdline"]
    assert (part["name"], part["size"], part["type"]) == ("cmdline", len(LINE), None)
    assert run("inspect", f"oci:{tmp_path}/l", "--json").json["command_line"] == LINE
    run("extract", f"oci:{tmp_path}/l", "--cmdline", tmp_path / "c", "--only", "cmdline", tmp_path / "only")
    assert (tmp_path / "c").read_text() == LINE


def test_one_that_is_not_there_is_missed(run: Run, layout: Path, tmp_path: Path) -> None:
    one_line(run("extract", f"oci:{layout}", "--cmdline", tmp_path / "c", exits=8), "has no cmdline")
    run("extract", f"oci:{layout}", tmp_path / "out")
    assert not (tmp_path / "out" / "cmdline").exists()


def test_pull_writes_what_eci_writes(run: Run, parts: Parts, tmp_path: Path) -> None:
    run("push", "--remote", tmp_path / "l", "a:1", "--cmdline", LINE, "--kernel", parts.kernel)
    run("pull", "--remote", tmp_path / "l", "a:1", "--dir", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"kernel", "config.json"}


@pytest.mark.parametrize(
    ("text", "code"), [("", 2), ("a\nb", 2), ("a\0b".replace("\0", "\x01"), 2), ("@no/such", 4), ("@.", 9)]
)
def test_what_no_kernel_is_given_is_refused(text: str, code: int, run: Run, parts: Parts) -> None:
    one_line(run("dockerfile", "--kernel", parts.kernel, "--cmdline", text, exits=code))


def test_a_file_of_another_kind_is_no_command_line(run: Run, parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "long").write_bytes(b"a" * 70_000)
    for name in ("binary", "long"):
        one_line(run("dockerfile", "--kernel", parts.kernel, "--cmdline", f"@{tmp_path}/{name}", exits=2), name)


@pytest.mark.parametrize("format", WRITERS)
def test_another_part_goes_in_and_comes_out_where_it_has_a_place(
    format: str, run: Run, parts: Parts, raw: Path, notes: Path, tmp_path: Path
) -> None:
    words = ["build", "--to", f"oci:{tmp_path}/l", "--format", format, *words_for(format, parts, raw)]
    words += ["--other", f"NOTES={notes}"]
    if format not in ("artifacts", "legacy"):
        one_line(run(*words, exits=8), "no place for", "NOTES")
        return

    run(*words)
    run("extract", f"oci:{tmp_path}/l", tmp_path / "out", "--only", "other")

    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {"NOTES": b"notes"}


def test_a_dockerfile_has_both(run: Run, parts: Parts, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(notes.parent)
    said = run("dockerfile", "--kernel", parts.kernel, "--cmdline", LINE, "--other", f"NOTES={notes}").out
    assert '"/NOTES"]' in said
    assert 'LABEL org.lfedge.eci.other="/NOTES"' in said
    assert 'LABEL io.eci-convert.command-line="console=ttyS0' in said


def test_a_name_is_given_once(run: Run, parts: Parts, notes: Path) -> None:
    words = ["--other", f"A={notes}", "--other", f"A={parts.kernel}"]
    one_line(run("dockerfile", "--kernel", parts.kernel, *words, exits=2), "twice")


@pytest.mark.parametrize("command", ["dockerfile", "build", "push"])
def test_disks_that_no_image_should_hold_are_refused_by_every_command(
    command: str, run: Run, parts: Parts, tmp_path: Path
) -> None:
    place: dict[str, list[str | Path]] = {
        "dockerfile": [],
        "build": ["--to", f"oci:{tmp_path}/l"],
        "push": ["--remote", tmp_path / "l", "a:1"],
    }
    packed, backed = parts.root.with_name("disk.img"), parts.root.with_name("backed.qcow2")
    packed.write_bytes(gzip.compress(bytes(4096)))
    backed.write_bytes(QCOW2[:8] + (104).to_bytes(8, "big") + (4).to_bytes(4, "big") + bytes(84) + b"base")

    one_line(run(command, *place[command], "--root", packed, exits=8), "compressed", "gzip")
    one_line(run(command, *place[command], "--disk", f"{packed}:raw", exits=8), "compressed", "gzip")
    one_line(run(command, *place[command], "--root", backed, exits=8), "base")
    one_line(run(command, *place[command], "--root", f"{backed}:qcow2", "--trust-type", exits=8), "base")
    assert not (tmp_path / "l").exists()


def test_kernel_and_initrd_that_are_mixed_up_are_warned_of(run: Run, parts: Parts, tmp_path: Path) -> None:
    parts.kernel.write_bytes(b"070701" + bytes(600))
    parts.initrd.write_bytes(bytes(0x38) + b"ARM\x64" + bytes(600))

    said = run("push", "--remote", tmp_path / "l", "a:1", "--kernel", parts.kernel, "--initrd", parts.initrd)

    assert said.err.count("warning") == 2
    assert "vmlinuz' is given as the kernel and looks like an initrd" in said.err
    assert "initrd.img' is given as the initrd and looks like a kernel" in said.err
