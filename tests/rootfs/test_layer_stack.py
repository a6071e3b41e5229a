"""The filesystem that layers make, from their headers alone. The row numbers are those of
docs/explanation/security.md#A."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from eci_convert import tar
from eci_convert.errors import CorruptStreamError, LimitExceededError
from eci_convert.rootfs import (
    Budget,
    FileNode,
    Found,
    LayerTree,
    Lookup,
    MergedDirectory,
    Missing,
    Special,
    Stack,
    Undecided,
    limits,
    resolve_symlink_writes,
)
from eci_convert.tar import EntryType
from tests.support.tar_archives import file, pax

F, D, S, H = EntryType.FILE, EntryType.DIR, EntryType.SYMLINK, EntryType.HARDLINK

LayerEntry = tuple[str, EntryType] | tuple[str, EntryType, str]


def stacked(*layers: Sequence[LayerEntry], complete: bool = True) -> Stack:
    """The stack of *layers*, the lowest first."""
    work = Budget()
    stack = Stack(work)
    for entries in reversed(layers):
        layer = LayerTree(work)
        for name, kind, *link in entries:
            layer.add(name, kind, *link)
        stack.layers.append(layer)
    stack.complete = complete
    resolve_symlink_writes(stack, len(stack.layers))
    return stack


def which(stack: Stack, path: str) -> tuple[int, int] | str:
    """The layer, 0 being the lowest, and the entry in it that *path* is; or what it is instead."""
    return told(stack, stack.lookup(path))


def told(stack: Stack, answer: Lookup) -> tuple[int, int] | str:
    match answer:
        case Found(node=FileNode(entry=entry), layer=layer):
            return len(stack.layers) - 1 - layer, entry
        case Found(node=MergedDirectory()):
            return "directory"
        case Found(node=Special(what=what)):
            return what
        case Undecided(path=path):
            return f"ask for {path}"
        case Missing(path=path):
            return f"nothing at {path}"
        case _:
            raise AssertionError(answer)


@pytest.mark.parametrize("name", ["/etc/passwd", "//etc//passwd", "./etc/./passwd", "etc/passwd"])
@pytest.mark.parametrize("path", ["/etc/passwd", "etc/passwd", "./etc/passwd", "/../../etc/passwd", "etc//./passwd"])
def test_1_31_names_are_below_the_root_however_they_are_spelt(name: str, path: str) -> None:
    assert which(stacked([(name, F)]), path) == (0, 0)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "a/../x", "..", "/..", "a/.."])
def test_2_a_name_that_goes_up_is_refused(name: str) -> None:
    with pytest.raises(CorruptStreamError, match="name"):
        stacked([(name, F)])


def test_3_30_names_are_matched_by_components() -> None:
    stack = stacked([("out-evil/x", F), ("out", D), ("kernel.bak", F), ("my-kernel", F)])

    assert which(stack, "out/x") == "nothing at out/x"
    assert which(stack, "kernel") == "nothing at kernel"


def test_4_a_file_replaces_a_link_of_its_name_and_is_not_written_through_it() -> None:
    stack = stacked([("target", F), ("x", S, "target"), ("x", F)])

    assert which(stack, "x") == (0, 2)
    assert which(stack, "target") == (0, 0)


def test_5_6_an_entry_below_a_link_lies_where_the_link_leads() -> None:
    stack = stacked([("a/b", D), ("l1", S, "a"), ("l2", S, "l1/b/../../../.."), ("l2/file", F)])

    assert which(stack, "file") == (0, 3)
    assert which(stack, "l2/file") == (0, 3)


def test_7_a_path_longer_than_linux_allows_is_refused() -> None:
    with pytest.raises(LimitExceededError, match="characters"):
        stacked([("a/" * 2048 + "b", F)])
    with pytest.raises(LimitExceededError, match="characters"):
        stacked([("a", S, "b" * 4097)])


def test_8_an_entry_below_a_link_of_a_lower_layer_lies_where_the_link_leads() -> None:
    stack = stacked([("t/", D), ("t/f", F), ("a", S, "/t")], [("a/b", F), ("a/.wh.f", F)])

    assert which(stack, "t/b") == (1, 0)
    assert which(stack, "a/b") == (1, 0)
    assert which(stack, "t/f") == "nothing at t/f"


def test_8_an_entry_for_a_directory_replaces_the_link() -> None:
    stack = stacked([("t/", D), ("t/f", F), ("a", S, "t")], [("a/", D), ("a/b", F)])

    assert which(stack, "a/b") == (1, 1)
    assert which(stack, "t/b") == "nothing at t/b"
    assert which(stack, "a/f") == "nothing at a/f"


def test_8_chains_of_such_links_are_followed_too() -> None:
    stack = stacked([("x/y/", D), ("l", S, "x")], [("m", S, "l/y")], [("m/d/e", F)])

    assert which(stack, "x/y/d/e") == (2, 0)


@pytest.mark.parametrize("name", [".", "/", "./", "", "//."])
@pytest.mark.parametrize("kind", [F, S, H, EntryType.CHAR])
def test_9_the_root_stays_a_directory(name: str, kind: EntryType) -> None:
    with pytest.raises(CorruptStreamError, match="root"):
        stacked([(name, kind, "x")])


def test_9_an_entry_for_the_root_is_fine() -> None:
    assert which(stacked([("./", D), ("x", F)]), "x") == (0, 1)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "etc/passwd"])
def test_10_a_hard_link_leads_inside_the_image(target: str) -> None:
    assert which(stacked([("etc/passwd", F), ("x", H, target)]), "x") == (0, 0)
    assert "does not exist" in str(which(stacked([("x", H, target)]), "x"))


def test_11_a_hard_link_to_a_symbolic_link_is_that_link() -> None:
    stack = stacked([("d/f", F), ("f", F), ("d/s", S, "f"), ("h", H, "d/s"), ("d/s", S, "nowhere")])

    assert which(stack, "h") == (0, 1)


def test_12_a_hard_link_outlives_its_target() -> None:
    stack = stacked([("f", F)], [("g", H, "f"), ("f", F)], [(".wh.f", F), ("h", H, "g"), (".wh.g", F)])

    assert which(stack, "h") == (0, 0)
    assert which(stack, "g") == "nothing at g"
    assert which(stack, "f") == "nothing at f"


def test_12_a_hard_link_is_what_its_target_was_when_it_came_by() -> None:
    stack = stacked([("f", F), ("g", H, "f"), ("f", F)], [("f", F), ("h", H, "g")])

    assert which(stack, "g") == (0, 0)
    assert which(stack, "f") == (1, 0)
    assert which(stack, "h") == (0, 0)


@pytest.mark.parametrize(
    ("entries", "what"),
    [
        ([("x", H, "nothing")], "does not exist"),
        ([("x", H, "x")], "itself"),
        ([("x", H, "y"), ("y", H, "x")], "does not exist"),
        ([("x", H, "y"), ("y", F)], "does not exist"),
        ([("d/", D), ("x", H, "d")], "directory"),
        ([("d", F), ("x", H, "d/f")], "does not exist"),
        ([("x", H, "")], "directory"),
    ],
)
def test_13_a_hard_link_that_links_to_no_file_is_broken_and_only_it(entries: list[LayerEntry], what: str) -> None:
    stack = stacked([*entries, ("kernel", F)])

    assert what in str(which(stack, "x"))
    assert which(stack, "kernel") == (0, len(entries))


def test_13_a_hard_link_to_a_directory_of_a_lower_layer_is_broken() -> None:
    assert "directory" in str(which(stacked([("d/", D)], [("x", H, "d")]), "x"))


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh..", "d/.wh..."])
def test_16_a_whiteout_of_no_name_is_refused(name: str) -> None:
    with pytest.raises(CorruptStreamError, match="whiteout"):
        stacked([("d/f", F)], [(name, F)])


def test_17_a_whiteout_deletes_in_lower_layers_only_whatever_the_order() -> None:
    for entries in ([(".wh.f", F), ("f", F)], [("f", F), (".wh.f", F)]):
        stack = stacked([("f", F), ("g", F)], entries)
        assert which(stack, "f") == (1, [name for name, *_ in entries].index("f"))
        assert which(stack, "g") == (0, 1)


def test_17_a_whiteout_of_a_directory_leaves_what_its_own_layer_has_in_it() -> None:
    stack = stacked([("d/x", F)], [("d/y", F), (".wh.d", F)])

    assert which(stack, "d/y") == (1, 0)
    assert which(stack, "d/x") == "nothing at d/x"


def test_17_an_opaque_directory_hides_what_is_below_it_whatever_the_order() -> None:
    for entries in ([("d/.wh..wh..opq", F), ("d/y", F)], [("d/y", F), ("d/.wh..wh..opq", F)]):
        stack = stacked([("d/x", F), ("e", F)], entries)
        assert which(stack, "d/x") == "nothing at d/x"
        assert isinstance(which(stack, "d/y"), tuple)
        assert which(stack, "e") == (0, 1)


def test_17_an_opaque_root_hides_everything() -> None:
    assert which(stacked([("f", F)], [(".wh..wh..opq", F)]), "f") == "nothing at f"


def test_17_what_aufs_kept_for_itself_says_nothing() -> None:
    stack = stacked([("f", F)], [(".wh..wh.plnk", D), (".wh..wh.aufs", F), (".wh..wh.orph", D)])

    assert which(stack, "f") == (0, 0)


def test_17_a_whiteout_is_no_file() -> None:
    assert which(stacked([(".wh.f", F)]), ".wh.f") == "nothing at .wh.f"


def test_18_a_file_replaces_a_directory_and_all_in_it() -> None:
    stack = stacked([("d/x", F)], [("d", F)], [("d/", D), ("d/y", F)])

    assert which(stack, "d/x") == "nothing at d/x"
    assert which(stack, "d/y") == (2, 1)
    assert which(stacked([("d/x", F)], [("d", F)]), "d/x") == "nothing at d/x"


def test_18_a_directory_that_replaced_something_in_its_own_layer_shows_nothing_lower() -> None:
    stack = stacked([("d/x", F)], [("d", F), ("d/", D)])

    assert which(stack, "d/x") == "nothing at d/x"


def test_18_directories_merge() -> None:
    stack = stacked([("d/x", F), ("d/y", F)], [("d/", D), ("d/y", F)])

    assert which(stack, "d/x") == (0, 0)
    assert which(stack, "d/y") == (1, 1)


def test_18_an_entry_below_a_file_of_its_own_layer_is_refused() -> None:
    with pytest.raises(CorruptStreamError, match="not a directory"):
        stacked([("a", F), ("a/b", F)])


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("kernel", "boot/vmlinuz"),
        ("kernel", "/boot/vmlinuz"),
        ("kernel", "../../boot/vmlinuz"),
        ("kernel", "./boot/../boot//vmlinuz"),
        ("kernel", "l/vmlinuz"),
        ("kernel", "l/../boot/vmlinuz"),
    ],
)
def test_19_symbolic_links_are_followed_inside_the_root(link: str, target: str) -> None:
    entries: list[LayerEntry] = [("boot/vmlinuz", F), ("l", S, "boot"), (link, S, target)]

    assert which(stacked(entries), link) == (0, 0)
    assert which(stacked(entries[:1], entries[1:2], entries[2:]), link) == (0, 0)
    assert which(stacked(entries[2:], entries[1:2], entries[:1]), link) == (2, 0)


def test_19_dots_go_up_from_where_a_link_leads_and_not_from_where_it_is() -> None:
    stack = stacked([("x/y/z/", D), ("x/f", F), ("f", F), ("l", S, "x/y"), ("k", S, "l/../f")])

    assert which(stack, "k") == (0, 1)
    assert which(stack, "l/../f") == (0, 1)


def test_20_a_loop_of_links_ends() -> None:
    stack = stacked([("a", S, "b"), ("b", S, "a"), ("c", S, "c/d")])

    assert "too many levels of symbolic links" in str(which(stack, "a"))
    assert "too many levels of symbolic links" in str(which(stack, "c"))


def test_20_a_loop_of_links_on_the_way_to_an_entry_ends() -> None:
    with pytest.raises(LimitExceededError, match="too many levels of symbolic links"):
        stacked([("a", S, "a"), ("a/b", F)])
    with pytest.raises(LimitExceededError, match="too many levels of symbolic links"):
        stacked([("a", S, "a"), ("h", H, "a/b")])


def test_20_links_that_multiply_end() -> None:
    chain: list[LayerEntry] = [(f"l{n}", S, f"l{n + 1}/l{n + 1}") for n in range(60)]

    assert "too many levels of symbolic links" in str(which(stacked(chain), "l0"))


def test_20_a_loop_of_hard_links_through_layers_ends() -> None:
    layers: list[list[LayerEntry]] = [[(f"h{n}", H, f"h{n - 1}")] for n in range(1, 60)]

    assert "too many levels of symbolic links" in str(which(stacked([("h0", F)], *layers), "h59"))
    assert which(stacked([("h0", F)], *layers), "h30") == (0, 0)


@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/mem", "/dev/stdin", "../../../etc/passwd"])
def test_21_a_path_of_this_computer_is_none_of_the_image(path: str) -> None:
    stack = stacked([("l", S, path), ("proc", D)])

    assert "nothing at" in str(which(stack, path))
    assert "nothing at" in str(which(stack, "l"))


@pytest.mark.parametrize("kind", [EntryType.FIFO, EntryType.CHAR, EntryType.BLOCK, EntryType.OTHER])
def test_22_23_what_is_no_file_is_named_and_hurts_nobody_else(kind: EntryType) -> None:
    stack = stacked([("x", kind), ("y", F)])

    assert any(word in which(stack, "x") for word in ("device", "pipe", "type"))
    assert which(stack, "y") == (0, 1)


def test_28_a_name_with_nul_is_refused() -> None:
    with pytest.raises(CorruptStreamError, match="name"):
        stacked([("a\0b", F)])


def test_29_names_are_compared_byte_by_byte() -> None:
    stack = stacked([("Kernel", F), ("\u00e9", F), ("e\u0301", F)])

    assert which(stack, "kernel") == "nothing at kernel"
    assert which(stack, "\u00e9") == (0, 1)
    assert which(stack, "e\u0301") == (0, 2)


def test_32_the_last_of_two_entries_wins() -> None:
    assert which(stacked([("f", F), ("f", F)]), "f") == (0, 1)
    assert which(stacked([("d/f", F), ("d", S, "e"), ("e/f", F)]), "d/f") == (0, 2)


def test_an_answer_waits_for_lower_layers_only_where_they_matter() -> None:
    top: list[LayerEntry] = [("here", F), ("link", S, "d/below"), ("d/", D), (".wh.gone", F), ("o/.wh..wh..opq", F)]
    stack = stacked(top, complete=False)

    assert which(stack, "here") == (0, 0)
    assert which(stack, "gone/x") == "nothing at gone/x"
    assert which(stack, "o/x") == "nothing at o/x"
    assert which(stack, "link") == "ask for d/below"
    assert which(stack, "d/x/../y") == "ask for d/y"


def test_more_files_than_anybody_needs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_NODES", 1000)

    with pytest.raises(LimitExceededError, match="files"):
        stacked([(f"f{number}", F) for number in range(600)], [(f"g{number}", F) for number in range(600)])
    with pytest.raises(LimitExceededError, match="files"):
        stacked([(f"{number}/{number}/{number}/f", F) for number in range(200)])


def test_more_entries_than_anybody_needs_are_refused_though_they_are_all_of_one_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_EFFORT", 12_000)

    with pytest.raises(LimitExceededError, match="entries"):
        stacked([("f", F)] * 600, [("f", F)] * 600)


def test_longer_extension_headers_than_anybody_needs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_EFFORT", 10_000)
    archive = pax(("comment", "x" * 20_000)) + file()

    work = Budget()
    assert len(list(tar.entries(work.metered([archive])))) == 1
    with pytest.raises(LimitExceededError, match="than can be followed"):
        list(tar.entries(work.metered([archive] * 3)))


def test_more_text_than_anybody_needs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_TEXT", 100_000)

    with pytest.raises(LimitExceededError, match="longer"):
        stacked([("f", S, "x" * 4000)] * 30)


def test_tangled_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_EFFORT", 10_000)

    with pytest.raises(LimitExceededError, match="links"):
        stacked([("l", S, "a/" * 2000), *((f"l/{number}", F) for number in range(10))])
