"""Layers, honest and hostile, made into files: what is inside comes out, and nothing outside is touched."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eci_convert.errors import CorruptStreamError, DigestMismatchError, FormatError, LimitExceededError
from eci_convert.oci.digest import Digest
from eci_convert.progress import NULL_REPORTER
from eci_convert.transports.containers_storage.drivers.overlay import Overlay
from eci_convert.transports.containers_storage.drivers.staging import Staging
from eci_convert.transports.containers_storage.layers.layer_import import import_layer
from eci_convert.transports.verified_input import VerifiedInput
from tests.support.images import a_tar, wrapped
from tests.support.reporters import Listening
from tests.support.storage_layers import World, an_archive, member, seen, unpacked, world

__all__ = ["world"]


real_root = pytest.mark.skipif(
    os.geteuid() != 0 or Path("/proc/self/uid_map").read_text().split()[2] == "1", reason="needs a root of the machine"
)


def test_every_kind_of_member_comes_out_and_the_archive_can_be_made_again(world: World) -> None:
    archive = an_archive(
        member("./", "dir", mode=0o700),
        member("boot/", "dir", mode=0o750, mtime=1_600_000_000.5),
        member("boot/kernel", content=b"kernel" * 1000, mode=0o600, mtime=1_500_000_000),
        member("boot/vmlinuz", "link", linkname="kernel"),
        member("boot/again", "hard", linkname="boot/kernel"),
        member("empty"),
        member("pipe", "fifo"),
        member("with/no/parent", content=b"x"),
        member("n" * 200, content=b"long"),
        member("d/" * 90 + "deep", content=b"deep"),
    )

    staged = unpacked(world.home, archive)

    found = seen(staged.diff)
    assert found["boot/kernel"] == found["boot/again"] == b"kernel" * 1000
    assert found["boot/vmlinuz"] == "-> kernel"
    assert found["pipe"] == "fifo"
    assert found["d/" * 90 + "deep"] == b"deep"
    kernel = os.stat(staged.diff / "boot/kernel")
    assert (stat.S_IMODE(kernel.st_mode), kernel.st_mtime, kernel.st_nlink) == (0o600, 1_500_000_000, 2)
    boot = os.stat(staged.diff / "boot")
    assert (stat.S_IMODE(boot.st_mode), boot.st_mtime) == (0o750, 1_600_000_000.5)
    assert stat.S_IMODE(os.stat(staged.diff / "with").st_mode) == 0o755
    assert stat.S_IMODE(os.stat(staged.diff).st_mode) == 0o700  # until it is complete, whatever ./ says


def test_directories_that_the_layer_does_not_name_are_open_whatever_the_umask(world: World) -> None:
    before = os.umask(0o077)
    try:
        staged = unpacked(world.home, an_archive(member("with/no/parent", content=b"x", mode=0o644)))
    finally:
        os.umask(before)

    for name, mode in {"with": 0o755, "with/no": 0o755, "with/no/parent": 0o644}.items():
        assert stat.S_IMODE(os.stat(staged.diff / name).st_mode) == mode


@pytest.mark.parametrize("end", [b"", bytes(512), bytes(1024), bytes(10240), bytes(1024) + b"rubbish behind" * 9999])
def test_whatever_follows_the_last_member_is_kept(world: World, end: bytes) -> None:
    archive = a_tar({"kernel": b"kernel" * 1000})[:-1024] + end

    staged = unpacked(world.home, archive)

    assert seen(staged.diff) == {"kernel": b"kernel" * 1000}


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_compressed_layer_is_known_by_both_its_digests(world: World, compression: str) -> None:
    archive = a_tar({"kernel": b"kernel" * 100_000})
    blob = wrapped(archive, compression)
    driver = Overlay(world.home)
    driver.home.mkdir()

    staged = import_layer(Staging.create(driver.home), driver, "type", VerifiedInput([blob], None, None), NULL_REPORTER)

    assert (staged.diff_id, staged.size) == (Digest.of(archive), len(archive))
    assert (staged.blob.digest, staged.blob.size) == (Digest.of(blob), len(blob))
    assert staged.compression == {"gzip": 2, "zstd": 4}[compression]


def test_holes_stay_holes(world: World) -> None:
    content = bytes(8 << 20) + b"data" * 1024 + bytes(8 << 20)

    staged = unpacked(world.home, a_tar({"disk": content}))

    assert (staged.diff / "disk").read_bytes() == content
    assert os.stat(staged.diff / "disk").st_blocks * 512 < 1 << 20


_NAMES = st.text("ab.-äé\udcff\n", min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..") and not name.startswith(".wh.")
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    st.dictionaries(_PATHS, st.one_of(st.binary(max_size=2000), st.none()), max_size=8),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_any_archive_can_be_made_again(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes | None], format: int
) -> None:
    wanted: dict[str, bytes | None] = {}
    for path, content in files.items():
        above = [path[:place] for place, sign in enumerate(path) if sign == "/"]
        if any(wanted.get(other, b"") is not None and other in wanted for other in above):
            continue
        if path in wanted or any(other.startswith(path + "/") for other in wanted):
            continue
        wanted[path] = content
    members = [member(path, "dir" if content is None else "file", content or b"") for path, content in wanted.items()]

    staged = unpacked(tmp_path_factory.mktemp("home"), an_archive(*members, format=format))

    found = seen(staged.diff)
    assert {path: found[path] for path in wanted} == wanted


@pytest.mark.parametrize("name", ["/kernel", "//kernel", "./kernel", "./././kernel", "/./kernel"])
def test_names_are_of_the_image_however_they_are_spelt(world: World, name: str) -> None:
    assert seen(unpacked(world.home, an_archive(member(name, content=b"kernel"))).diff) == {"kernel": b"kernel"}


@pytest.mark.parametrize("name", ["../kernel", "a/../../kernel", "/../kernel", "a/..", ".."])
def test_names_that_lead_upwards_are_refused(world: World, name: str) -> None:
    with pytest.raises(FormatError, match="points outside the layer"):
        unpacked(world.home, an_archive(member(name, content=b"kernel")))


@pytest.mark.parametrize("target", ["{host}", "../../../../host", "/"])
@pytest.mark.parametrize("kind", ["file", "dir", "link", "hard", "fifo", "char"])
def test_nothing_goes_through_a_link_to_a_directory(world: World, target: str, kind: str) -> None:
    linkname = target.format(host=world.host)
    inner = member("etc/passwd", kind, linkname="etc" if kind in ("link", "hard") else "")

    with pytest.raises(FormatError, match="passes through a link or a file"):
        unpacked(world.home, an_archive(member("etc", "link", linkname=linkname), inner))


def test_nothing_goes_through_two_links_either(world: World) -> None:
    with pytest.raises(FormatError, match="passes through a link or a file"):
        unpacked(
            world.home,
            an_archive(
                member("a/", "dir"),
                member("a/up", "link", linkname=".."),
                member("out", "link", linkname="a/up/../../../host"),
                member("out/passwd", content=b"evil"),
            ),
        )


@pytest.mark.parametrize("kind", ["file", "dir", "fifo", "link"])
def test_a_link_is_replaced_and_never_written_through(world: World, kind: str) -> None:
    extra = {"linkname": "elsewhere"} if kind == "link" else {}
    content = b"evil" if kind == "file" else b""

    staged = unpacked(
        world.home,
        an_archive(
            member("x", "link", linkname=str(world.host / "passwd")),
            member("x", kind, content, mode=0o777, mtime=5, **extra),
        ),
    )

    assert seen(staged.diff)["x"] == {"file": b"evil", "dir": None, "fifo": "fifo", "link": "-> elsewhere"}[kind]


@pytest.mark.parametrize(
    "target", ["{host}/passwd", "../../../../host/passwd", "passwd", "self", "dir", "", "to-dir/x"]
)
def test_hard_links_are_to_files_of_the_layer(world: World, target: str) -> None:
    with pytest.raises(FormatError, match=r"is not a file in the layer|points outside the layer|passes through a link"):
        unpacked(
            world.home,
            an_archive(
                member("dir/", "dir"),
                member("to-dir", "link", linkname="dir"),
                member("dir/x", content=b"x"),
                member("self", "hard", linkname=target.format(host=world.host)),
            ),
        )


def test_a_hard_link_to_a_link_is_that_link(world: World) -> None:
    staged = unpacked(
        world.home,
        an_archive(
            member("x", "link", linkname=str(world.host / "passwd")), member("y", "hard", linkname="x", mode=0o777)
        ),
    )

    assert seen(staged.diff)["y"] == f"-> {world.host}/passwd"


@pytest.mark.parametrize("name", [".", "/", "./"])
@pytest.mark.parametrize("kind", ["link", "file", "fifo", "hard"])
def test_the_top_stays_a_directory(world: World, name: str, kind: str) -> None:
    info, content = member(name, kind)
    info.linkname = str(world.host)

    with pytest.raises((FormatError, CorruptStreamError), match="in place of its top directory"):
        unpacked(world.home, an_archive((info, content)))


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "a/.wh..", "a/.wh...", ".wh.x/y"])
def test_deletions_of_what_cannot_be_deleted_are_refused(world: World, name: str) -> None:
    with pytest.raises(FormatError, match=r"a whiteout of its own parent directory|below a whiteout"):
        unpacked(world.home, an_archive(member(name)))


def test_deletions_are_noted_as_overlayfs_reads_them(world: World) -> None:
    staged = unpacked(
        world.home,
        an_archive(
            member("etc/.wh.passwd"),
            member("both", content=b"new"),
            member(".wh.both"),
            member(".wh.other"),
            member("other", content=b"new"),
            member("opaque/", "dir"),
            member("opaque/.wh..wh..opq"),
            member(".wh.replaced"),
            member("replaced/", "dir"),
            member("first/", "dir"),
            member(".wh.first"),
            member(".wh..wh.plnk", content=b"aufs"),
        ),
    )

    assert seen(staged.diff) == {
        "etc": None,
        "etc/passwd": "char",
        "both": b"new",
        "other": b"new",
        "opaque": None,
        "replaced": None,
        "first": None,
    }
    assert os.lstat(staged.diff / "etc/passwd").st_rdev == 0
    for name in ("opaque", "replaced", "first"):
        attributes = os.listxattr(staged.diff / name)
        assert {"trusted.overlay.opaque", "user.overlay.opaque"} & set(attributes), name


@pytest.mark.parametrize("twice", ["file", "dir", "link", "fifo"])
def test_content_is_not_replaced_since_the_archive_could_not_be_made_again(world: World, twice: str) -> None:
    second = member("./x", twice, linkname="y" if twice == "link" else "")

    with pytest.raises(FormatError, match="twice"):
        unpacked(world.home, an_archive(member("x", content=b"one"), second))
    with pytest.raises(FormatError, match="twice"):
        unpacked(world.home, an_archive(member("x/y", content=b"one"), member("x", "link", linkname="y")))


def test_what_has_no_content_may_come_twice(world: World) -> None:
    staged = unpacked(
        world.home,
        an_archive(
            member("d/", "dir", mode=0o700), member("d/x"), member("d/", "dir", mode=0o711), member("d/x", content=b"x")
        ),
    )

    assert seen(staged.diff) == {"d": None, "d/x": b"x"}
    assert stat.S_IMODE(os.stat(staged.diff / "d").st_mode) == 0o711


@pytest.mark.parametrize("name", ["d/" * 401 + "x", "n" * 200 + "/" + ("m" * 250 + "/") * 12 + "x"])
def test_paths_have_a_limit(world: World, name: str) -> None:
    with pytest.raises(LimitExceededError, match=r"\(limit 400\)|\(limit 3072\)"):
        unpacked(world.home, an_archive(member(name)))


@pytest.mark.parametrize("field", ["uid", "gid"])
@pytest.mark.parametrize("value", [(1 << 32) - 1, 1 << 40])
def test_owners_that_there_cannot_be_are_refused(world: World, field: str, value: int) -> None:
    owner: dict[str, Any] = {field: value}
    with pytest.raises(FormatError, match="not a valid user or group id"):
        unpacked(world.home, an_archive(member("x", **owner)))


@pytest.mark.parametrize("mtime", [-1, -(10**9), -(2**62), 10**15, 2**33, 2**62])
def test_odd_times_are_held_within_what_can_be_kept(world: World, mtime: int) -> None:
    unpacked(world.home, an_archive(member("x", content=b"x", mtime=mtime)))


def test_attributes_that_would_be_words_to_overlayfs_or_podman_are_left_out(world: World) -> None:
    names = ("user.colour", "user.overlay.redirect", "trusted.overlay.redirect", "user.containers.override_stat")
    headers = {f"SCHILY.xattr.{name}": "/etc" for name in names}

    staged = unpacked(world.home, an_archive(member("x", content=b"x", pax_headers=headers)))

    assert os.listxattr(staged.diff / "x") == ["user.colour"]


@real_root
def test_root_makes_owners_modes_and_devices_as_they_are_said(world: World) -> None:
    staged = unpacked(
        world.home,
        an_archive(
            member("su", content=b"x", mode=0o4755, uid=5, gid=6),
            member("null", "char", devmajor=1, devminor=3, mode=0o666),
            member("disk", "block", devmajor=7, devminor=99),
            member("link", "link", linkname="x", uid=7),
        ),
    )

    su = os.stat(staged.diff / "su")
    assert (stat.S_IMODE(su.st_mode), su.st_uid, su.st_gid) == (0o4755, 5, 6)
    assert os.stat(staged.diff / "null").st_rdev == os.makedev(1, 3)
    assert stat.S_ISBLK(os.stat(staged.diff / "disk").st_mode)
    assert os.lstat(staged.diff / "link").st_uid == 7
    assert (staged.uids, staged.gids) == ((0, 5, 7), (0, 6))


def test_what_cannot_be_made_is_left_out_with_a_word(world: World) -> None:
    reporter = Listening()

    staged = unpacked(
        world.home,
        an_archive(member("whiteout", "char", devmajor=0, devminor=0), member("odd", "other", b"content" * 1000)),
        reporter=reporter,
    )

    assert seen(staged.diff) == {}
    assert reporter.warnings == [
        "device 'whiteout' is not created in the store: overlayfs would interpret it as a deletion",
        "'odd' is left out of the store: members of type other are not supported",
    ]


def test_a_device_that_an_ordinary_user_cannot_create_is_left_out_and_that_is_why(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "mknod", refuse)
    reporter = Listening()

    staged = unpacked(world.home, an_archive(member("null", "char", devmajor=1, devminor=3)), reporter=reporter)

    assert seen(staged.diff) == {}
    assert reporter.warnings == ["device 'null' is not created in the store: only root can create devices"]


def test_a_sparse_member_is_whole_as_a_file_and_packed_in_the_archive(world: World) -> None:
    archive = (Path(__file__).parent / "sparse.tar").read_bytes()

    staged = unpacked(world.home, archive)

    assert (staged.diff / "sparse").read_bytes() == bytes(1 << 20) + b"data" * 128 + bytes((1 << 20) - 512)


def test_bytes_that_are_not_the_promised_ones_are_that_and_not_a_bad_archive(world: World) -> None:
    archive = bytearray(a_tar({f"file-{number}": b"kernel" * 20_000 for number in range(30)}))
    promised = Digest.of(bytes(archive))
    archive[0] ^= 1
    driver = Overlay(world.home)
    driver.home.mkdir()
    for compression in ("none", "gzip"):
        spoilt = bytearray(wrapped(bytes(archive), compression))
        spoilt[len(spoilt) // 3] ^= 1
        chunks = [bytes(spoilt[start : start + 5000]) for start in range(0, len(spoilt), 5000)]

        with pytest.raises(DigestMismatchError):
            import_layer(Staging.create(driver.home), driver, "", VerifiedInput(chunks, promised, None), NULL_REPORTER)


def test_what_was_refused_is_gone(world: World) -> None:
    with pytest.raises(FormatError, match="points outside the layer"):
        unpacked(world.home, an_archive(member("x", content=b"x"), member("../y")))

    [staging] = (path for path in (world.home / "overlay").iterdir())
    assert {path.name for path in staging.iterdir()} == {"link", "lock"}
