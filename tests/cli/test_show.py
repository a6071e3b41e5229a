"""Whatever comes from an image or a server is printable, bounded text, by whichever way it is printed."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from eci_convert.cli import output
from eci_convert.cli.exit_codes import run_guarded
from eci_convert.cli.output import info
from eci_convert.display.json_lines import JsonProgress
from eci_convert.display.reporter import WarningsOnly
from eci_convert.display.rich import RichProgress
from eci_convert.errors import MAX_LINE, FormatError, one_line
from tests.support.command_line import Run

EVIL = "\x1b]0;owned\x07\x9b2J\x7f\u202e\U000e0041\ud800 grün"


def is_text(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def failing(error: Exception, *, debug: bool) -> int:
    def run() -> None:
        raise error

    return run_guarded(run, debug=debug)


@pytest.fixture
def hostile(tmp_path: Path) -> str:
    """An image whose index has a platform of three megabytes, and one that a terminal would obey."""
    from eci_convert.oci.digest import Digest

    blob = b"{}"
    (tmp_path / "blobs/sha256").mkdir(parents=True)
    (tmp_path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": str(Digest.of(blob)), "size": 2}
    platforms = [{"os": EVIL, "architecture": "x"}, {"os": "k" * 3_000_000, "architecture": "y"}]
    index = json.dumps({"schemaVersion": 2, "manifests": [{**entry, "platform": one} for one in platforms]})
    digest = Digest.of(index.encode())
    (tmp_path / "blobs/sha256" / digest.hex).write_text(index)
    listed = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": str(digest), "size": len(index)}
    (tmp_path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [listed]}))
    return f"oci:{tmp_path}"


@pytest.mark.parametrize("words", [[], ["--debug"]], ids=["plain", "debug"])
def test_an_image_has_no_say_in_the_terminal(run: Run, hostile: str, words: list[str]) -> None:
    said = run("inspect", hostile, *words, exits=7)

    assert is_text(said.err)
    assert len(said.err) < 20_000
    assert ("Traceback" in said.err) == bool(words)


@pytest.mark.parametrize("debug", [False, True])
def test_errors_their_notes_and_hints_are_bounded_printable_lines(
    debug: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    error = FormatError("k" * 3_000_000 + EVIL, where=EVIL)
    error.add_note("while reading " + "n" * 1_000_000)
    for number in range(1000):
        error.add_note(f"hint: {number} {EVIL}" + "h" * 10_000)

    assert failing(error, debug=debug) == 7

    said = capsys.readouterr().err
    assert is_text(said)
    talk = said[said.index("eci-convert: error: ") :].splitlines()
    assert len(talk) == 11
    assert all(line.startswith("hint: ") for line in talk[1:])
    assert len(said.splitlines()) < 500
    assert max(map(len, said.splitlines())) <= MAX_LINE + len("eci-convert: error: ")


def test_a_traceback_without_end_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    failing(FormatError("x\n" * 100_000), debug=True)
    said = capsys.readouterr().err
    assert len(said.splitlines()) < 500
    assert "Traceback" in said


def test_a_line_that_is_cut_keeps_its_beginning_and_its_end() -> None:
    text = one_line("annotations." + "k" * 3_000_000 + ": expected str")
    assert len(text) <= MAX_LINE
    assert text.startswith("annotations.k")
    assert text.endswith("k: expected str")
    assert len(one_line("\x1b" * 3_000_000)) <= MAX_LINE
    assert one_line("grün") == "grün"


def test_json_spells_what_is_not_printable_and_means_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    value = {EVIL: [EVIL, "plain", 1], "grün": None}

    output.json(value)

    text = capsys.readouterr().out
    assert is_text(text)
    assert "grün" in text
    assert json.loads(text) == value


@pytest.mark.parametrize("say", [output.line, info, output.warning, WarningsOnly().warned, RichProgress().warned])
def test_whoever_says_it_it_is_printable(say, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    say(EVIL)
    captured = capsys.readouterr()
    assert is_text(captured.out + captured.err)
    assert "owned" in captured.out + captured.err


def test_progress_for_programs_is_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    events = JsonProgress()
    events.started(EVIL + "t" * 3_000_000, 5)
    events.warned("w" * 3_000_000)
    events.finished(EVIL + "t" * 3_000_000)

    lines = capsys.readouterr().err.splitlines()

    assert [json.loads(line)["event"] for line in lines] == ["started", "warning", "finished"]
    assert all(line.isprintable() and len(line) < 10_000 for line in lines)


def test_what_is_logged_is_printable() -> None:
    record = logging.LogRecord("urllib3", logging.WARNING, "", 1, "retrying %s", (EVIL + "x" * 1_000_000,), None)
    text = output.LogLines("%(levelname)s %(name)s: %(message)s").format(record)
    assert text.startswith("WARNING urllib3: retrying ")
    assert is_text(text)
    assert len(text) <= MAX_LINE


def test_what_ends_a_thread_is_printable(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(logging.lastResort, "formatter", None)
    output.adopt()

    def fail() -> None:
        raise ValueError(EVIL)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()

    said = capsys.readouterr().err
    assert is_text(said)
    assert "ValueError" in said


def test_a_manifest_as_it_is_is_printable_on_a_terminal_and_the_same_elsewhere(tmp_path: Path) -> None:
    program = (
        "import sys; from eci_convert.cli import output; "
        "output.raw_bytes(open(sys.argv[1], 'rb').read()); output.flush()"
    )
    (tmp_path / "raw").write_bytes(b'{\n\t"a": "' + "\x9b2J\x7f\u202e".encode() + b'\xff"\n}')
    words = [sys.executable, "-c", program, str(tmp_path / "raw")]
    ours, theirs = pty.openpty()
    with subprocess.Popen(words, stdout=theirs) as process:
        assert process.wait(60) == 0
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)

    assert is_text(shown.replace("\r", ""))
    assert "\\u009b2J" in shown
    assert subprocess.run(words, capture_output=True, check=True).stdout == (tmp_path / "raw").read_bytes()


def test_one_long_name_does_not_make_every_row_long(capsys: pytest.CaptureFixture[str]) -> None:
    output.table([("kernel", "x" * 1_000_000, "raw"), *[("disk", "y", "raw")] * 100])
    lines = capsys.readouterr().out.splitlines()
    assert "x" * 1_000_000 in lines[0]
    assert max(map(len, lines[1:])) < 300
