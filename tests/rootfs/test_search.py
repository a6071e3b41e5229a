"""Files in the filesystem that layers make, taken as the layers pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from random import Random
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from eci_convert.errors import (
    AmbiguousRoleError,
    CorruptStreamError,
    DigestMismatchError,
    EciError,
    FormatError,
    LimitExceededError,
    MissingPartError,
    NotFoundError,
    TransportError,
)
from eci_convert.reading.files import in_archive, read_files
from eci_convert.reading.images import load_image
from eci_convert.rootfs import limits
from eci_convert.rootfs.search import Search
from eci_convert.tar import EntryType, TarEntry
from eci_convert.transports.base import Source
from eci_convert.transports.memory import MemorySource
from tests.support.images import Files, Hard, ImageBuilder, Link, a_tar, an_image
from tests.support.layer_stacks import PATHS, Basket, distinct_files, whiteout
from tests.support.memory_stores import Watched
from tests.support.reference_unpacker import DIR, FILE, HARDLINK, SYMLINK, LayerEntry, Naive, RefusedError
from tests.support.tar_archives import file, pax


def an_image_of(*layers: Files, compression: str = "none") -> ImageBuilder:
    image = an_image()
    for files in layers:
        image = image.tar_layer(files, compression=compression)
    return image


def found(*layers: Files, path: str = "kernel") -> tuple[bytes, list[int]]:
    """The file at *path*, and which layers were read for it in which order."""
    source, basket = Watched(an_image_of(*layers).build()), Basket()
    read_files(source, load_image(source), [path], basket)
    return basket.files[path], source.layers_read()


def test_lower_layers_are_not_read_once_all_is_found() -> None:
    assert found({"other": b"x"}, {"kernel": b"old"}, {"kernel": b"new"}) == (b"new", [2])
    assert found({"other": b"x"}, {"kernel": b"old"}, {"other": b"y"}) == (b"old", [2, 1])


def test_lower_layers_are_not_read_once_nothing_can_be_found() -> None:
    source = Watched(an_image_of({"kernel": b"x"}, {"o": b""}, {".wh.kernel": b""}).build())

    with pytest.raises(MissingPartError, match="'/kernel' is not in the image"):
        read_files(source, load_image(source), ["/kernel"], Basket())
    assert source.layers_read() == [2]


def test_a_link_that_comes_first_is_followed_as_the_layer_passes() -> None:
    assert found({"kernel": Link("boot/vmlinuz"), "boot/": None, "boot/vmlinuz": b"x"}) == (b"x", [0])


def test_a_link_to_what_went_by_costs_one_more_pass_over_that_layer_only() -> None:
    assert found({"o": b"o"}, {"boot/vmlinuz": b"x", "kernel": Link("boot/vmlinuz")}) == (b"x", [1, 1])
    assert found({"kernel": Link("/b")}, {"o": b""}, {"b": b"x"}) == (b"x", [2, 1, 0, 2])
    assert found({"a": b"x", "kernel": Hard("a")}) == (b"x", [0, 0])


def test_a_link_to_a_lower_layer_is_followed_there() -> None:
    assert found({"b": b"x"}, {"o": b""}, {"kernel": Link("b")}) == (b"x", [2, 1, 0])
    assert found({"b": b"x"}, {"o": b""}, {"kernel": Hard("b")}) == (b"x", [2, 1, 0])


def test_all_that_was_missed_in_a_layer_costs_one_pass_together() -> None:
    layer: Files = {"a": b"1", "b": b"2", "k": Link("a"), "i": Link("b"), "j": Hard("a")}
    source, basket = Watched(an_image_of(layer).build()), Basket()

    read_files(source, load_image(source), ["k", "i", "j"], basket)

    assert basket.files == {"k": b"1", "i": b"2", "j": b"1"}
    assert source.layers_read() == [0, 0]


def test_one_file_under_several_paths_passes_once() -> None:
    source, basket = Watched(an_image_of({"kernel": b"x"}).build()), Basket()

    places = read_files(source, load_image(source), ["kernel", "/kernel", "./kernel"], basket)

    assert basket.taken == [("kernel", "/kernel", "./kernel")]
    assert {place.path for place in places.values()} == {"kernel"}


def test_the_last_of_two_entries_in_a_layer_wins() -> None:
    archive = a_tar({"kernel": b"first"})[:-1024] + a_tar({"kernel": b"second"})
    source, basket = an_image().tar_layer(archive).build(), Basket()

    read_files(source, load_image(source), ["kernel"], basket)

    assert basket.files == {"kernel": b"second"}


def test_what_cannot_be_taken_back_is_not_taken_twice() -> None:
    archive = a_tar({"kernel": b"first"})[:-1024] + a_tar({"kernel": b"second"})
    source, basket = an_image().tar_layer(archive).build(), Basket(can_retake=False)

    with pytest.raises(FormatError, match="twice"):
        read_files(source, load_image(source), ["kernel"], basket)
    assert basket.files == {"kernel": b"first"}


def test_a_layer_that_was_begun_is_read_to_its_end_and_verified() -> None:
    for spoilt in range(2):
        source = an_image_of(
            {"kernel": b"x", "rest": bytes(4 << 20)}, {"o": bytes(3 << 20)}, compression="none"
        ).build()
        layer = load_image(source).manifest.layers[spoilt].digest
        source.blobs[layer] = source.blobs[layer][:-1] + b"\1"

        with pytest.raises(DigestMismatchError):
            read_files(source, load_image(source), ["kernel"], Basket())


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_bytes_that_are_not_the_promised_ones_are_said_to_be_that_and_not_malformed(compression: str) -> None:
    noise = Random(1).randbytes(3 << 20)
    for at in (20, 1000, 1 << 20, -5):
        source = an_image_of({"kernel": noise}, compression=compression).build()
        layer = load_image(source).manifest.layers[0].digest
        spoilt = bytearray(source.blobs[layer])
        spoilt[at] ^= 0x55
        source.blobs[layer] = bytes(spoilt)

        with pytest.raises(DigestMismatchError):
            read_files(source, load_image(source), ["kernel"], Basket())


def test_promised_bytes_that_are_malformed_are_said_to_be_malformed() -> None:
    source = an_image().tar_layer(a_tar({"kernel": bytes(5000)})[:3000]).build()

    with pytest.raises(CorruptStreamError) as caught:
        read_files(source, load_image(source), ["kernel"], Basket())
    assert any(note.startswith("in layer sha256:") for note in caught.value.__notes__)


def long_headers(number: int = 0) -> bytes:
    return pax(("comment", f"{number}" * 30_000)) + file(b"o")


def test_reading_headers_is_bounded_for_the_image_and_not_for_each_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_EFFORT", 12_000)
    source = an_image().tar_layer(long_headers(1)).tar_layer(long_headers(2)).tar_layer(long_headers(3)).build()

    with pytest.raises(LimitExceededError, match="than can be followed"):
        read_files(source, load_image(source), ["kernel"], Basket())


@pytest.mark.parametrize("or_whole_blob", [True, False])
def test_reading_headers_is_bounded_in_one_archive_too(monkeypatch: pytest.MonkeyPatch, or_whole_blob: bool) -> None:
    monkeypatch.setattr(limits, "MAX_EFFORT", 12_000)
    source = an_image().tar_layer(long_headers() * 3).build()
    layer = load_image(source).manifest.layers[0]

    with pytest.raises(LimitExceededError, match="than can be followed"):
        in_archive(source, layer, ["o"], Basket(), or_whole_blob=or_whole_blob)


def test_a_directory_gives_the_one_file_in_it() -> None:
    assert found({"disk/": None, "disk/image.qcow2": b"x", "disk/sub/": None}, path="disk/")[0] == b"x"
    assert found({"disk/a": b"a"}, {"disk/.wh.a": b"", "disk/b": b"b"}, path="/disk/")[0] == b"b"
    assert found({"o": b"o"}, {"disk/.wh..wh..opq": b"", "disk/b": b"b"}, path="disk/") == (b"b", [1])
    assert found({"real/b": b"b", "disk": Link("real")}, path="disk/")[0] == b"b"
    assert found({"b": b"b", "disk/l": Link("../b")}, path="disk/")[0] == b"b"
    assert found({"disk/a": b"a"}, {"disk/a": b"b"}, path="disk/") == (b"b", [1, 0])


def test_a_directory_with_two_files_or_none_is_refused() -> None:
    with pytest.raises(AmbiguousRoleError, match="'disk/' contains more than one file: 'a' and 'b'"):
        found({"disk/a": b"a"}, {"disk/b": b"b"}, path="disk/")
    with pytest.raises(AmbiguousRoleError):
        found({"disk/a": b"a", "disk/b": b"b"}, path="disk/")
    for layer in ({"disk/": None}, {"o": b""}, {"disk": b"file"}, {"disk/": None, "disk/sub/x": b"x"}):
        with pytest.raises(MissingPartError):
            found(layer, path="disk/")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"o": b"x"}, "'kernel' is not in the image"),
        ({"kernel": Link("boot/vmlinuz")}, "'kernel' is a link to 'boot/vmlinuz', which is not in the image"),
        ({"kernel": Link("/etc/passwd")}, "'kernel' is a link to 'etc/passwd', which is not in the image"),
        ({"kernel/": None}, "'kernel' is a directory, not a regular file"),
        ({"kernel/x": b""}, "'kernel' is a directory, not a regular file"),
        ({"d/": None, "kernel": Link("d")}, "'kernel' is a directory, not a regular file"),
    ],
)
def test_what_is_no_regular_file_is_refused_by_what_it_is(layer: Files, message: str) -> None:
    with pytest.raises(MissingPartError, match=message):
        found(layer)


@pytest.mark.parametrize("layer", [{"kernel": Link("kernel")}, {"kernel": Hard("nothing")}, {"kernel": Hard("kernel")}])
def test_links_that_lead_nowhere_are_malformed(layer: Files) -> None:
    with pytest.raises(FormatError) as caught:
        found(layer)
    assert not isinstance(caught.value, CorruptStreamError)


def test_an_image_without_layers_has_no_files() -> None:
    source = an_image().build()

    with pytest.raises(MissingPartError):
        read_files(source, load_image(source), ["kernel"], Basket())


def test_layers_that_are_no_archives_are_no_part_of_the_filesystem() -> None:
    source = an_image_of({"kernel": b"x"}).layer("application/vnd.example", b"not a tar").build()
    basket = Basket()

    read_files(source, load_image(source), ["kernel"], basket)

    assert basket.files == {"kernel": b"x"}


def test_a_member_of_one_archive_is_found_however_it_is_spelt() -> None:
    for name, path in product(("kernel", "./kernel", "/kernel"), repeat=2):
        source, basket = an_image_of({name: b"x", "o": b""}, compression="gzip").build(), Basket()
        in_archive(source, load_image(source).manifest.layers[0], [path], basket)
        assert basket.files == {path: b"x"}


def test_the_only_file_of_an_archive_needs_no_name() -> None:
    source, basket = an_image_of({"d/": None, "d/whatever": b"x"}).build(), Basket()

    in_archive(source, load_image(source).manifest.layers[0], [""], basket)

    assert basket.files == {"": b"x"}


@pytest.mark.parametrize(
    ("layer", "error", "says"),
    [
        ({"a": b"", "d/b": b""}, AmbiguousRoleError, "more than one file"),
        ({"d/": None}, MissingPartError, "no file in the archive"),
    ],
)
def test_an_archive_with_two_files_or_none_needs_a_name(layer: Files, error: type[EciError], says: str) -> None:
    source = an_image_of(layer).build()

    with pytest.raises(error, match=says):
        in_archive(source, load_image(source).manifest.layers[0], [""], Basket())


@pytest.mark.parametrize(
    "blob", [b"kernel", b"", b"\x1f\x8b\x08 not really gzip", bytes(1 << 20), b"MZ" + bytes(range(256)) * 9000]
)
def test_a_blob_that_is_no_archive_is_itself_the_file_where_that_is_allowed(blob: bytes) -> None:
    source, basket = an_image().tar_layer(blob).build(), Basket()
    layer = load_image(source).manifest.layers[0]

    in_archive(source, layer, ["kernel"], basket, or_whole_blob=True)

    assert basket.files == {"kernel": blob}


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_an_archive_is_an_archive_even_where_bytes_are_allowed(compression: str) -> None:
    noise = Random(1).randbytes(600_000)
    source, basket = an_image_of({"kernel": noise}, compression=compression).build(), Basket()

    in_archive(source, load_image(source).manifest.layers[0], ["kernel"], basket, or_whole_blob=True)

    assert basket.files == {"kernel": noise}


class Unpacked:
    """A Filesystem, as an engine keeps it: parents' links are followed, a last one is not."""

    hides_files = False
    follows_links = False

    def __init__(self, files: Files) -> None:
        self._files = {path.strip("/"): what for path, what in files.items()}
        self.asked: list[str] = []

    def full_image(self) -> Source:
        raise AssertionError("all of the image was asked for")

    @contextmanager
    def fetch(self, path: str) -> Iterator[Iterable[bytes]]:
        self.asked.append(path)
        where = self._real(path)
        name = where.rpartition("/")[2]
        if self._files.get(where, None) is None:
            below = {key: what for key, what in self._files.items() if key.startswith(f"{where}/")}
            if where not in self._files and not below:
                raise NotFoundError(f"no {path}")
            inside: Files = {f"{name}/": None} | {f"{name}{key[len(where) :]}": what for key, what in below.items()}
            yield (a_tar(inside),)
        else:
            archive = a_tar({name: self._files[where]})
            yield (archive[n : n + 1000] for n in range(0, len(archive), 1000))

    def _real(self, path: str) -> str:
        where: list[str] = []
        rest = path.split("/")[::-1]
        while rest:
            word = rest.pop()
            assert word != "..", "only plain paths are asked for"
            what = self._files.get("/".join([*where, word]))
            if isinstance(what, Link) and any(rest):
                where = [] if what.target.startswith("/") else where
                for part in what.target.split("/")[::-1]:
                    rest.append(part) if part != ".." else where.pop()
            elif word not in ("", "."):
                where.append(word)
        return "/".join(where)


def from_engine(files: Files, path: str) -> bytes:
    basket = Basket()
    source = MemorySource(an_image().build().store, filesystem=Unpacked(files))
    read_files(source, load_image(source), [path], basket)
    return basket.files[path]


@pytest.mark.parametrize("path", ["kernel", "/kernel", "./kernel", "d/../kernel", "/l/../kernel"])
@pytest.mark.parametrize(
    "target",
    ["boot/vmlinuz", "/boot/vmlinuz", "../../boot/vmlinuz", "l/vmlinuz", "l/../boot/vmlinuz", "deep/../vmlinuz", "m"],
)
def test_an_engine_is_asked_for_the_file_alone_and_links_are_followed(path: str, target: str) -> None:
    files: Files = {
        "d/": None,
        "boot/vmlinuz": b"vmlinuz" * 1000,
        "boot/sub/": None,
        "l": Link("boot"),
        "deep": Link("boot/sub"),
        "m": Link("/d/../l/../boot/vmlinuz"),
        "kernel": Link(target),
    }

    assert from_engine(files, path) == b"vmlinuz" * 1000


def test_a_path_without_dots_is_one_question() -> None:
    unpacked = Unpacked({"l": Link("boot"), "boot/vmlinuz": b"x"})
    source = MemorySource(an_image().build().store, filesystem=unpacked)

    read_files(source, load_image(source), ["l/vmlinuz"], Basket())

    assert unpacked.asked == ["/l/vmlinuz"]


@pytest.mark.parametrize(
    ("files", "path", "error", "says"),
    [
        ({"o": b""}, "kernel", MissingPartError, "is not in the image"),
        ({"kernel": Link("/etc/passwd")}, "kernel", MissingPartError, "is not in the image"),
        ({"kernel/": None}, "kernel", MissingPartError, "is a directory"),
        ({"kernel": Link("kernel")}, "kernel", FormatError, "too many levels of symbolic links"),
        ({"disk/a": b"", "disk/b": b""}, "disk/", AmbiguousRoleError, "more than one file"),
        ({"disk/": None}, "disk/", MissingPartError, "no file in"),
        ({"disk": b"file"}, "disk/", MissingPartError, "no file in"),
        ({"f": b"", "g": b""}, "f/../g", MissingPartError, "is not a directory"),
    ],
)
def test_an_engine_has_what_is_no_file_refused_too(files: Files, path: str, error: type[EciError], says: str) -> None:
    with pytest.raises(error, match=says):
        from_engine(files, path)


@pytest.mark.parametrize(
    ("said", "error"),
    [("evalSymlinksInScope: too many links in /kernel", LimitExceededError), ("the engine is on fire", TransportError)],
)
def test_an_engine_that_gives_up_on_a_loop_of_links_is_not_to_blame(said: str, error: type[EciError]) -> None:
    class Refusing(Unpacked):
        @contextmanager
        def fetch(self, path: str) -> Iterator[Iterable[bytes]]:
            raise TransportError(said)
            yield ()

    source = MemorySource(an_image().build().store, filesystem=Refusing({}))
    with pytest.raises(error, match="too many levels" if error is LimitExceededError else said):
        read_files(source, load_image(source), ["kernel"], Basket())


def test_an_engine_gives_the_one_file_of_a_directory() -> None:
    assert from_engine({"disk/": None, "disk/a.img": b"x", "disk/sub/y": b"y"}, "disk/") == b"x"
    assert from_engine({"disk": Link("d"), "d/": None, "d/a.img": b"x"}, "disk/") == b"x"
    assert from_engine({"disk/": None, "disk/a.img": Link("../b"), "b": b"x"}, "disk/") == b"x"


paths = st.sampled_from(PATHS)
targets = st.builds(
    lambda start, path, end: start + path + end,
    st.sampled_from(["", "/", "../", "../../"]),
    st.sampled_from(PATHS[:12]),
    st.sampled_from(["", "", "/..", "/../a"]),
)


entries = st.one_of(
    st.builds(LayerEntry, paths, st.just(FILE)),
    st.builds(LayerEntry, paths, st.just(FILE)),
    st.builds(LayerEntry, paths, st.just(DIR)),
    st.builds(LayerEntry, paths, st.just(SYMLINK), targets),
    st.builds(LayerEntry, paths, st.just(HARDLINK), paths),
    st.builds(whiteout, paths),
    st.builds(lambda path: LayerEntry(f"{path}/.wh..wh..opq"), paths),
)
stacks = st.lists(st.lists(entries, max_size=6), min_size=1, max_size=4)


def as_entries(layer: Sequence[LayerEntry]) -> Iterator[TarEntry]:
    for said in layer:
        linkname, data = (said.text, b"") if said.kind in (SYMLINK, HARDLINK) else ("", said.text.encode())
        yield TarEntry(
            name=said.name, type=said.kind, size=len(data), linkname=linkname, mode=0, uid=0, gid=0, mtime=0,
            pax=MappingProxyType({}), chunks=iter((data,)),
        )  # fmt: skip


def searched(layers: Sequence[Sequence[LayerEntry]], path: str) -> str | None:
    basket, top = Basket(), layers[::-1]
    search = Search([path], basket)
    for number, layer in enumerate(top):
        if search.read(as_entries(layer), last=number == len(top) - 1):
            break
    for number, missed in search.missed_files().items():
        search.read_again(as_entries(top[number]), missed, number)
    return basket.files[path].decode() if path in search.found() else None


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])
@given(stacks)
def test_a_search_finds_what_naive_unpacking_shows(layers: list[list[LayerEntry]]) -> None:
    layers = distinct_files(layers)
    naive = Naive()
    try:
        for layer in layers:
            naive.unpack(layer)
    except RefusedError:
        assume(False)

    for path in PATHS:
        assert searched(layers, path) == naive.read(path), path


def test_entry_types_of_the_oracle_are_those_of_archives() -> None:
    assert {FILE, DIR, SYMLINK, HARDLINK} <= set(EntryType)
