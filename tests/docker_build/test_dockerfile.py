"""Dockerfiles for machines, and the contexts that they are built in. What builders make of them is in integration/."""

from __future__ import annotations

import errno
import json
import os
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_convert.docker_build import dockerfile as module
from eci_convert.docker_build.dockerfile import context_names, paths_in_context, quoting, render, stage_context, staging
from eci_convert.docker_build.dockerfile.quoting import quoted_label
from eci_convert.errors import LocalError, NotFoundError, UsageError
from eci_convert.model import Artifact, DiskType, LocalFile, Memory, Part, Role
from eci_convert.reading.local_parts import Disk, artifact_from_parts
from tests.support.hostile_names import LABELS, NAMES
from tests.support.images import files_in

TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=30)


def a_disk(path: Path, content: bytes = b"disk") -> Disk:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Disk(content=path, type=DiskType.RAW, trust_declared_type=True)


def a_machine(folder: Path) -> Artifact:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vmlinuz").write_bytes(b"kernel")
    (folder / "initrd.img").write_bytes(b"initrd")
    return artifact_from_parts(
        kernel=folder / "vmlinuz",
        initrd=folder / "initrd.img",
        root=a_disk(folder / "root.img"),
        disks=[a_disk(folder / "data" / "one.img", b"one"), a_disk(folder / "two.img", b"two")],
    )


def test_one_copy_a_part_in_order_and_then_the_labels(tmp_path: Path) -> None:
    artifact = a_machine(tmp_path)

    text = render(artifact, paths_in_context(artifact, tmp_path), labels={"colour": "red"})

    assert [line for line in text.splitlines() if line and not line.startswith("#")] == [
        "FROM scratch",
        'COPY ["vmlinuz", "/kernel"]',
        'COPY ["initrd.img", "/initrd"]',
        'COPY ["root.img", "/disk-root-root.img"]',
        'COPY ["data/one.img", "/disk-0-one.img"]',
        'COPY ["two.img", "/disk-1-two.img"]',
        'LABEL org.lfedge.eci.artifact.kernel="/kernel"',
        'LABEL org.lfedge.eci.artifact.initrd="/initrd"',
        'LABEL org.lfedge.eci.artifact.root="/disk-root-root.img"',
        'LABEL org.lfedge.eci.artifact.disk-0="/disk-0-one.img"',
        'LABEL org.lfedge.eci.artifact.disk-1="/disk-1-two.img"',
        'LABEL colour="red"',
    ]


def test_labels_of_disks_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    artifact = artifact_from_parts(disks=[a_disk(tmp_path / f"{number}.img") for number in range(12)])

    text = render(artifact, paths_in_context(artifact, tmp_path))

    assert re.findall(r"LABEL .*disk-(\d+)=", text) == [str(number) for number in range(12)]


def test_the_first_line_is_no_directive_of_a_parser(tmp_path: Path) -> None:
    artifact = a_machine(tmp_path)

    first = render(artifact, paths_in_context(artifact, tmp_path)).splitlines()[0]

    assert not re.match(r"#\s*\w+\s*=", first)


def test_a_single_layer_renames_in_a_stage_before(tmp_path: Path) -> None:
    artifact = a_machine(tmp_path)

    text = render(artifact, paths_in_context(artifact, tmp_path), base="alpine:3", single_layer=True)

    last = text[text.index("FROM alpine:3") :]
    assert last.count("COPY") == 1
    assert 'COPY --from=parts ["/", "/"]' in last


def test_a_single_layer_needs_no_stage_where_the_names_are_right_already(tmp_path: Path) -> None:
    artifact = a_machine(tmp_path / "parts")

    text = render(artifact, stage_context(artifact, tmp_path / "context"), single_layer=True)

    assert text.count("FROM") == text.count("COPY") == 1
    assert 'COPY ["kernel", "initrd", "disk-root-root.img", "disk-0-one.img", "disk-1-two.img", "/"]' in text


@pytest.mark.parametrize("base", ["a b", "alpine\nRUN x", "", "$BASE", "UPPER", "--platform=x", "alpine AS parts"])
def test_a_base_is_the_name_of_an_image_and_nothing_else(tmp_path: Path, base: str) -> None:
    artifact = a_machine(tmp_path)

    with pytest.raises(UsageError, match="start from"):
        render(artifact, paths_in_context(artifact, tmp_path), base=base)


@pytest.mark.parametrize("base", ["scratch", "alpine", "alpine:3.20", "r.example:5000/a/b@sha256:" + 64 * "0"])
def test_any_image_can_be_the_base(tmp_path: Path, base: str) -> None:
    artifact = a_machine(tmp_path)

    assert f"\nFROM {base}\n" in render(artifact, paths_in_context(artifact, tmp_path), base=base)


@pytest.mark.parametrize("name", ["new\nline", "re\rturn", "nul\0", "esc\x1b[31m", "nel\x85", "\x7f", "\udc80"])
def test_control_characters_in_names_are_refused(tmp_path: Path, name: str) -> None:
    part = Part(role=Role.ROOT_DISK, locator=Memory(content=b""), name="disk-root-x")
    with pytest.raises(UsageError, match="holds a control character"):
        render(Artifact(parts=(part,)), {part.name: name})

    odd = Part(role=Role.ROOT_DISK, locator=Memory(content=b""), name=f"disk-root-{name}")
    with pytest.raises(UsageError, match="cannot be written into an image"):
        render(Artifact(parts=(odd,)), {odd.name: "plain"})


@pytest.mark.parametrize(("key", "value"), [("a\nb", "c"), ("a", "b\nc"), ("", "x"), ("a=b", "c"), ("a", "\x1b")])
def test_a_label_that_a_dockerfile_cannot_say_is_refused(tmp_path: Path, key: str, value: str) -> None:
    artifact = a_machine(tmp_path)

    with pytest.raises(UsageError, match=r"holds a control character|is no key of a label"):
        render(artifact, paths_in_context(artifact, tmp_path), labels={key: value})


def test_a_label_cannot_contradict_a_part(tmp_path: Path) -> None:
    artifact = a_machine(tmp_path)

    with pytest.raises(UsageError, match="kernel"):
        render(artifact, paths_in_context(artifact, tmp_path), labels={"org.lfedge.eci.artifact.kernel": "/elsewhere"})


@given(TEXTS)
def test_a_word_holds_nothing_that_anybody_reads_before_it_is_json(text: str) -> None:
    word = quoting.source(text)

    assert word.isprintable()
    assert not set(word) & set("<>&#")
    assert word.startswith('"')
    assert word.endswith('"')
    assert isinstance(json.loads(word), str)


@given(TEXTS)
def test_a_destination_is_what_the_lexer_leaves_of_it(text: str) -> None:
    assert lexed(json.loads(quoting.destination(f"/{text}"))) == f"/{text}"


@given(TEXTS)
def test_a_source_is_a_pattern_that_matches_the_file_and_no_other(text: str) -> None:
    pattern = lexed(json.loads(quoting.source(text)))

    matching = matcher(pattern)

    assert matching.fullmatch(text)
    assert not matching.fullmatch(text + "x")
    assert not matching.fullmatch("x" + text)
    for other in string.ascii_letters:
        assert not (len(text) == 1 and text != other and matching.fullmatch(other))


@pytest.mark.parametrize("name", NAMES)
def test_odd_names_are_patterns_that_match_themselves(name: str) -> None:
    assert matcher(lexed(json.loads(quoting.source(name)))).fullmatch(name)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_a_label_is_what_the_lexer_leaves_between_its_quotes(value: str) -> None:
    found = quoted_label("key", value)

    assert found.startswith('key="')
    assert lexed(found.removeprefix("key=")) == value


@pytest.mark.parametrize("key", LABELS)
def test_odd_labels_are_quoted(key: str) -> None:
    found = quoted_label(key, LABELS[key])

    assert lexed(found) == f"{key}={LABELS[key]}"


def lexed(word: str) -> str:
    """What the lexer of Dockerfiles makes of *word* (buildkit, shell/lex.go): quotes go, backslashes protect. Raises
    AssertionError where it would expand a variable or find a quote without an end."""
    found, at, quoted = "", 0, False
    while at < len(word):
        character = word[at]
        assert character != "$", "a variable"
        assert character != "'" or quoted, "a quote without an end"
        if character == "\\" and (not quoted or word[at + 1] in '"\\$'):
            at += 1
            found += word[at]
        elif character == '"':
            quoted = not quoted
        else:
            found += character
        at += 1
    assert not quoted
    return found


def matcher(pattern: str) -> re.Pattern[str]:
    """The file names that *pattern* matches (Go's path/filepath.Match); where it holds no `[`, it is no pattern."""
    assert pattern == pattern.strip(), "white space that is trimmed"
    assert pattern[0] not in "!\ufeff", "an exclusion, or a byte order mark"
    assert "<<" not in pattern, "a here-document"
    if "[" not in pattern:
        assert not set(pattern) & set("*?\\"), "a pattern that no class makes one"
        return re.compile(re.escape(pattern), re.DOTALL)
    found, at = "", 0
    while at < len(pattern):
        if pattern[at] == "[":
            stop = at + 2 + (pattern[at + 1] == "\\")
            character = pattern[stop - 1]
            assert pattern[stop] == "]", "a class of more than one character"
            assert pattern[at + 1] not in "^-]", "a class that says something else"
            found += re.escape(character)
            at = stop + 1
        else:
            assert pattern[at] not in "*?\\+(){}|^", "a special character"
            found += re.escape(pattern[at])
            at += 1
    return re.compile(found, re.DOTALL)


# contexts


def test_a_part_is_found_below_the_context_through_links(tmp_path: Path) -> None:
    artifact = a_machine(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real/latest").symlink_to("vmlinuz")
    through = artifact_from_parts(kernel=tmp_path / "link/latest")

    assert paths_in_context(through, tmp_path / "real") == {"kernel": "vmlinuz"}
    assert paths_in_context(artifact, tmp_path / "link")["disk-0-one.img"] == "data/one.img"


def test_a_part_outside_the_context_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    artifact = a_machine(tmp_path / "parts")
    (tmp_path / "context").mkdir()

    with pytest.raises(UsageError, match="vmlinuz") as caught:
        paths_in_context(artifact, tmp_path / "context")

    assert "--stage" in caught.value.__notes__[0]


def test_a_link_that_leads_out_of_the_context_is_outside(tmp_path: Path) -> None:
    a_machine(tmp_path / "parts")
    (tmp_path / "context").mkdir()
    (tmp_path / "context/kernel").symlink_to(tmp_path / "parts/vmlinuz")

    with pytest.raises(UsageError, match="cannot be taken from the context"):
        paths_in_context(artifact_from_parts(kernel=tmp_path / "context/kernel"), tmp_path / "context")


@pytest.mark.parametrize("name", ["new\nline", "tab\t"])
def test_a_file_whose_name_no_dockerfile_can_say_is_staged(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"kernel")
    artifact = artifact_from_parts(kernel=tmp_path / name)

    with pytest.raises(UsageError, match="control"):
        paths_in_context(artifact, tmp_path)
    assert stage_context(artifact, tmp_path / "context") == {"kernel": "kernel"}


def test_a_dockerignore_is_no_part_of_its_own_context(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_bytes(b"kernel")

    with pytest.raises(UsageError, match="meaning"):
        paths_in_context(artifact_from_parts(kernel=tmp_path / ".dockerignore"), tmp_path)


def test_a_context_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    artifact = a_machine(tmp_path)

    with pytest.raises(NotFoundError, match="no such folder"):
        paths_in_context(artifact, tmp_path / "nothing")
    with pytest.raises(LocalError, match="is no folder"):
        paths_in_context(artifact, tmp_path / "vmlinuz")


def test_a_part_that_has_gone_meanwhile_is_not_found(tmp_path: Path) -> None:
    artifact = a_machine(tmp_path)
    (tmp_path / "vmlinuz").unlink()

    with pytest.raises(NotFoundError):
        paths_in_context(artifact, tmp_path)


def test_a_staged_context_holds_the_parts_and_lets_nothing_else_in(tmp_path: Path) -> None:
    artifact = a_machine(tmp_path / "parts")

    sources = stage_context(artifact, tmp_path / "a/context")

    found = files_in(tmp_path / "a/context")
    ignore = found.pop(".dockerignore").decode().splitlines()
    assert found == {"kernel": b"kernel", "initrd": b"initrd", "disk-root-root.img": b"disk",
                     "disk-0-one.img": b"one", "disk-1-two.img": b"two"}  # fmt: skip
    assert ignore[1:] == ["*", *(f"!{name}" for name in sources.values())]
    assert set(sources.values()) == set(found)


def test_parts_are_linked_and_not_copied(tmp_path: Path) -> None:
    artifact = a_machine(tmp_path / "parts")

    stage_context(artifact, tmp_path / "context")

    assert (tmp_path / "context/disk-root-root.img").samefile(tmp_path / "parts/root.img")


def inodes_in(folder: Path) -> list[int]:
    return [path.stat().st_ino for path in folder.iterdir()]


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("second", ["same", "hard link", "symbolic link", "in its place"])
def test_no_two_names_of_a_stage_are_one_inode(tmp_path: Path, second: str, lasting: bool) -> None:
    """moby/moby#42718: the classic builder's cache would keep the old content of the second."""
    one, other, folder = tmp_path / "one.raw", tmp_path / "other.raw", tmp_path / "context"
    one.write_bytes(b"template")
    folder.mkdir()
    match second:
        case "same":
            other = one
        case "hard link":
            os.link(one, other)
        case "symbolic link":
            other.symlink_to(one)
        case _:
            other = folder / "disk-0-one.raw"
            os.link(one, other)
    disks = [Disk(content=other, type=DiskType.RAW, name="one.raw"), Disk(content=one, type=DiskType.RAW, name="a.raw")]

    stage_context(artifact_from_parts(root=Disk(content=one, type=DiskType.RAW), disks=disks), folder, lasting=lasting)

    assert len(set(inodes_in(folder))) == 4
    assert set(files_in(folder).values()) >= {b"template"}


def test_what_is_written_to_later_is_not_in_a_lasting_stage(tmp_path: Path) -> None:
    artifact = a_machine(tmp_path / "parts")
    (tmp_path / "parts/vmlinuz").chmod(0o444)

    for _ in range(2):
        stage_context(artifact, tmp_path / "context", lasting=True)
    with (tmp_path / "parts/root.img").open("r+b") as file:
        file.write(b"DISK")

    assert (tmp_path / "context/disk-root-root.img").read_bytes() == b"disk"
    assert (tmp_path / "context/kernel").samefile(tmp_path / "parts/vmlinuz")


def test_a_stage_of_hard_links_is_mended_when_it_is_staged_again(tmp_path: Path) -> None:
    artifact = a_machine(tmp_path / "parts")
    stage_context(artifact, tmp_path / "context")

    stage_context(artifact, tmp_path / "context", lasting=True)

    assert not (tmp_path / "context/disk-root-root.img").samefile(tmp_path / "parts/root.img")


def test_where_no_link_can_be_a_copy_keeps_the_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "root.img"
    with disk.open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"data")
    monkeypatch.setattr(os, "link", refusing_across(tmp_path / "context"))

    stage_context(artifact_from_parts(root=Disk(content=disk, type=DiskType.RAW)), tmp_path / "context")

    copy = tmp_path / "context/disk-root-root.img"
    assert not copy.samefile(disk)
    assert copy.read_bytes() == disk.read_bytes()
    assert copy.stat().st_blocks * 512 < 1 << 20


def refusing_across(folder: Path) -> Callable[..., None]:
    """A link(2) that refuses what comes from outside *folder*, as if that were another filesystem."""
    real = os.link

    def link(source: Path, target: Path, **words: Any) -> None:
        if not Path(source).is_relative_to(folder):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(source, target, **words)

    return link


def test_a_link_is_staged_as_what_it_leads_to(tmp_path: Path) -> None:
    a_machine(tmp_path)
    (tmp_path / "latest").symlink_to("vmlinuz")

    stage_context(artifact_from_parts(kernel=tmp_path / "latest"), tmp_path / "context")

    assert not (tmp_path / "context/kernel").is_symlink()
    assert (tmp_path / "context/kernel").read_bytes() == b"kernel"


def test_staging_again_replaces_what_was_there(tmp_path: Path) -> None:
    artifact = a_machine(tmp_path / "parts")
    stage_context(artifact, tmp_path / "context")
    (tmp_path / "parts/vmlinuz").unlink()
    (tmp_path / "parts/vmlinuz").write_bytes(b"a newer kernel")

    stage_context(artifact, tmp_path / "context")

    assert (tmp_path / "context/kernel").read_bytes() == b"a newer kernel"


def test_parts_that_are_in_each_others_places_change_them(tmp_path: Path) -> None:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "initrd").write_bytes(b"the kernel")
    (folder / "kernel").write_bytes(b"the initrd")

    stage_context(artifact_from_parts(kernel=folder / "initrd", initrd=folder / "kernel"), folder)

    assert (folder / "kernel").read_bytes() == b"the kernel"
    assert (folder / "initrd").read_bytes() == b"the initrd"


def test_a_part_that_is_in_its_place_stays(tmp_path: Path) -> None:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "kernel").write_bytes(b"kernel")

    assert stage_context(artifact_from_parts(kernel=folder / "kernel"), folder) == {"kernel": "kernel"}
    assert (folder / "kernel").read_bytes() == b"kernel"


def test_a_dockerignore_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "context"
    artifact = a_machine(tmp_path / "parts")
    folder.mkdir()
    (folder / ".dockerignore").write_text("*.log\n")

    with pytest.raises(UsageError, match="not ours"):
        stage_context(artifact, folder)

    assert files_in(folder) == {".dockerignore": b"*.log\n"}


def test_a_part_that_cannot_be_staged_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    artifact = a_machine(tmp_path / "parts")
    stage_context(artifact, tmp_path / "context")
    before = files_in(tmp_path / "context")
    (tmp_path / "parts/two.img").unlink()

    with pytest.raises((NotFoundError, LocalError), match="cannot be put into the context"):
        stage_context(artifact, tmp_path / "context")

    assert files_in(tmp_path / "context") == before


def test_parts_in_memory_are_staged_too(tmp_path: Path) -> None:
    stage_context(artifact_from_parts(kernel=b"kernel"), tmp_path)

    assert (tmp_path / "kernel").read_bytes() == b"kernel"
    with pytest.raises(UsageError, match="is no file"):
        paths_in_context(artifact_from_parts(kernel=b"kernel"), tmp_path)


@pytest.mark.parametrize(
    ("name", "constant"),
    [("root.img", "disk-root-root.img"), ("a b", "disk-root"), ("$x", "disk-root"), ("ä日", "disk-root-ä日"),
     ("x" * 250, f"disk-root-{'x' * 245}")],
)  # fmt: skip
def test_odd_names_become_plain_ones_in_a_context_of_ours(tmp_path: Path, name: str, constant: str) -> None:
    artifact = artifact_from_parts(root=a_disk(tmp_path / name))

    assert list(context_names(artifact).values()) == [constant]


@pytest.mark.parametrize("name", ["Dockerfile", "ä" * 128])
def test_a_name_that_a_context_cannot_have_becomes_another(tmp_path: Path, name: str) -> None:
    other = Part(role=Role.OTHER, locator=LocalFile(path=tmp_path / "x"), name=name)

    assert context_names(Artifact(parts=(other,))) == {name: "other-0"}


def test_a_dockerfile_is_made_without_docker() -> None:
    import subprocess
    import sys

    program = (
        "import sys, eci_convert.docker_build.dockerfile; "
        "sys.exit(bool({'docker', 'requests', 'pydantic'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    assert module.render is render
    assert staging.IGNORE == ".dockerignore"
