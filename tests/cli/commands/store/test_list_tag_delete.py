"""`list`, `tag` and `delete`: what they print, and stores that are missing, read-only, half-written or foreign."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
from tests.support.command_line import Run, one_line
from tests.support.fake_registry.server import a_registry
from tests.support.images import KERNEL_TYPE, an_image, copied, files_in


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    for name in ("a.example/m:1", "a.example/m:2", "plain"):
        image = an_image().platform("linux/amd64").layer(KERNEL_TYPE, name.encode(), role="kernel")
        copied(image.build(), open_sink(f"oci:{tmp_path}/layout:{name}", Settings()))
    copied(an_image().layer("x/y", b"nothing").build(), open_sink(f"oci:{tmp_path}/layout", Settings()))
    return tmp_path / "layout"


def test_a_table_of_what_is_there(run: Run, layout: Path) -> None:
    said = run("list", f"oci:{layout}")

    rows = [line.split() for line in said.out.splitlines()]
    assert rows[0] == ["NAME", "TAG", "ID", "PLATFORMS", "DIALECT", "SIZE"]
    assert [row[:2] for row in rows[1:]] == [
        ["<none>", "<none>"], ["a.example/m", "1"], ["a.example/m", "2"], ["plain", "<none>"],
    ]  # fmt: skip
    assert {len(row[2]) for row in rows[1:]} == {12}
    assert rows[2][3:5] == ["linux/amd64", "eci-artifacts"]
    assert rows[1][3:5] == ["linux/amd64", "-"]
    assert said.err == ""


def test_json_says_the_same(run: Run, layout: Path) -> None:
    unnamed, first, *_ = run("list", f"oci:{layout}", "--json").json

    assert unnamed["name"] is unnamed["tag"] is unnamed["dialect"] is None
    assert {key: first[key] for key in ("name", "tag", "platforms", "dialect")} == {
        "name": "a.example/m", "tag": "1", "platforms": ["linux/amd64"], "dialect": "eci-artifacts",
    }  # fmt: skip
    assert first["digest"].startswith("sha256:")
    assert first["size"] > 0


def test_quiet_is_an_id_a_line_and_each_id_names_its_image(run: Run, layout: Path) -> None:
    ids = run("list", f"oci:{layout}", "-q").out.splitlines()

    assert len(ids) == 4
    for text in ids:
        run("tag", f"oci:{layout}:{text[:19]}", f"by-id-{text[7:10]}")
    assert len(run("list", f"oci:{layout}", "-q").out.splitlines()) == 4


def test_tag_says_each_name_and_quietly_the_digest(run: Run, layout: Path) -> None:
    said = run("tag", f"oci:{layout}:plain", "new:1", f"oci:{layout}:new:2")
    quiet = run("tag", f"oci:{layout}:plain", "new:3", "-q")

    assert said.out == f"Tagged oci:{layout}:plain as new:1\nTagged oci:{layout}:plain as oci:{layout}:new:2\n"
    assert quiet.out.strip() in run("list", f"oci:{layout}", "-q").out


def test_delete_prints_the_names_that_it_removed(run: Run, layout: Path) -> None:
    said = run("delete", f"oci:{layout}:plain")
    quiet = run("delete", f"oci:{layout}:a.example/m:1", "-q")
    [told] = run("delete", f"oci:{layout}:a.example/m:2", "--json").json

    assert said.out == f"Deleted plain from oci:{layout}\n"
    assert quiet.out == "a.example/m:1\n"
    assert (told["place"], told["name"]) == (f"oci:{layout}", "a.example/m:2")


def test_a_dry_run_says_so(run: Run, layout: Path) -> None:
    before = files_in(layout)

    tagged = run("tag", f"oci:{layout}:plain", "x", "--dry-run")
    deleted = run("delete", f"oci:{layout}:plain", "--dry-run")
    [told] = run("delete", f"oci:{layout}:plain", "--dry-run", "--json").json

    assert tagged.out == f"Would tag oci:{layout}:plain as x\n"
    assert deleted.out == f"Would delete plain from oci:{layout}\n"
    assert told["dry_run"] is True
    assert files_in(layout) == before


def test_list_shows_the_repositories_of_a_registry(run: Run, layout: Path) -> None:
    with a_registry() as registry:
        run("copy", f"oci:{layout}:plain", f"docker://{registry.host}/a/m:1")

        said = run("list", f"docker://{registry.host}")
        tags = run("list", f"docker://{registry.host}/a/m")

    assert said.out.splitlines()[1].split() == [f"{registry.host}/a/m", "<none>", "-", "-", "-", "-"]
    assert tags.out.splitlines()[1].split()[:2] == [f"{registry.host}/a/m", "1"]


COMMANDS = (["list", "{}"], ["tag", "{}:m:1", "m:2"], ["delete", "{}:m:1"])


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize("scheme", ["oci", "oci-archive", "docker-archive"])
def test_a_store_that_is_missing_is_an_error_and_is_not_made(
    run: Run, tmp_path: Path, words: list[str], scheme: str
) -> None:
    place = f"{scheme}:{tmp_path}/none"
    codes = {8} if scheme != "oci" and words[0] != "list" else {4, 9}

    code, out, err = run.anyhow(*(word.format(place) for word in words))

    assert code in codes, err
    assert out == ""
    assert len([line for line in err.splitlines() if not line.startswith("hint: ")]) == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", 7),
        (b"[]", 7),
        (b'{"schemaVersion":2,"manifests":[{"digest":"sha256:../../x","size":1}]}', 7),
        (b'{"schemaVersion":2,"manifests":{}}', 7),
        (b'{"schemaVersion":2,"manifests":[{"size":1}]}', 7),
        (b"\0" * 4096, 7),
    ],
)
def test_a_half_written_or_hostile_layout_is_refused_and_stays_as_it_is(
    run: Run, layout: Path, words: list[str], content: bytes, code: int
) -> None:
    (layout / "index.json").write_bytes(content)
    before = files_in(layout)

    one_line(run(*(word.format(f"oci:{layout}") for word in words), exits=code), "index.json")

    assert files_in(layout) == before


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_layout_of_another_version_is_refused(run: Run, layout: Path, words: list[str]) -> None:
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"9.0.0"}')
    before = files_in(layout)

    one_line(run(*(word.format(f"oci:{layout}") for word in words), exits=7), "9.0.0")

    assert files_in(layout) == before


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_directory_that_is_no_layout_is_refused(run: Run, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "home.txt").write_text("mine")

    one_line(run(*(word.format(f"oci:{tmp_path}") for word in words), exits=4), "not an OCI image layout")

    assert (tmp_path / "home.txt").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_read_only_layout_stays_as_it_is(run: Run, layout: Path) -> None:
    layout.chmod(0o555)
    before = files_in(layout)
    try:
        for words in (["tag", f"oci:{layout}:plain", "x"], ["delete", f"oci:{layout}:plain"]):
            one_line(run(*words, exits=9), "ermission denied")
    finally:
        layout.chmod(0o755)

    assert files_in(layout) == before


def test_a_filesystem_that_is_read_only_is_said_and_nothing_is_lost(
    run: Run, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = files_in(layout), os.open

    def refusing(path: object, *words: object, **how: object) -> object:
        if words and isinstance(words[0], int) and words[0] & os.O_CREAT:
            raise OSError(30, "Read-only file system")
        return real(path, *words, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refusing)
    for words in (["tag", f"oci:{layout}:plain", "x"], ["delete", f"oci:{layout}:plain"]):
        one_line(run(*words, exits=9), "Read-only file system")
    monkeypatch.setattr(os, "open", real)

    assert files_in(layout) == before


def test_a_prefix_of_several_ids_is_refused(run: Run, layout: Path, tmp_path: Path) -> None:
    for number in range(40):
        copied(an_image().layer("x/y", b"%d" % number).build(), open_sink(f"oci:{tmp_path}/many:n{number}", Settings()))
    ids = [text[7:] for text in run("list", f"oci:{tmp_path}/many", "-q").out.splitlines()]
    digit = next(one for one in "0123456789abcdef" if sum(text.startswith(one) for text in ids) > 1)

    said = run("delete", f"oci:{tmp_path}/many:sha256:{digit}", exits=8)

    one_line(said, "is ambiguous")
    assert len(run("list", f"oci:{tmp_path}/many", "-q").out.splitlines()) == 40


def test_all_names_of_an_id_are_removed_when_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    place = f"oci:{tmp_path}/twins"
    copied(an_image().build(), open_sink(f"{place}:a", Settings()))
    run("tag", f"{place}:a", "b")
    copied(an_image().layer("x/y", b"other").build(), open_sink(f"{place}:c", Settings()))
    identity = json.loads(run("inspect", f"{place}:a", "--json").out)["digest"]

    one_line(run("delete", f"{place}:{identity}", exits=2), "several names")
    run("delete", f"{place}:{identity}", "--all-tags")

    [left] = json.loads(run("list", place, "--json").out)
    assert left["name"] == "c"


def test_words_that_make_no_sense(run: Run, layout: Path) -> None:
    one_line(run("list", f"oci:{layout}:plain", exits=2), "names an image")
    one_line(run("delete", f"oci:{layout}", exits=2), "names a place")
    one_line(run("tag", f"oci:{layout}:plain", "oci:elsewhere:x", exits=2), "another place")
    one_line(run("list", "plain", exits=2), "has no transport")
    one_line(run("delete", f"oci:{layout}:plain", f"oci:{layout}:none", exits=4), "no image 'none'")
    assert len(run("list", f"oci:{layout}", "-q").out.splitlines()) == 4
