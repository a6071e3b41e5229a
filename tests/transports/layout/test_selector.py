from __future__ import annotations

import pytest

from eci_convert.errors import UsageError, quoted_list
from eci_convert.oci.annotations import IMAGE_NAME, REF_NAME
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.transports import image_name
from eci_convert.transports.ids import is_id_prefix
from eci_convert.transports.layout.selector import (
    ImageSelector,
    ambiguous_error,
    distinct,
    no_match_error,
    same_reference,
    select_entries,
    split_path,
)

D1, D2 = Digest.of(b"one"), Digest.of(b"two")


def entry(digest: Digest, **annotations: str) -> Descriptor:
    keys = {"ref": REF_NAME, "image": IMAGE_NAME}
    return Descriptor(
        media_type="", digest=digest, size=3, annotations={keys[key]: text for key, text in annotations.items()}
    )


@pytest.mark.parametrize(
    ("text", "there", "path", "name"),
    [
        ("dir", {"dir"}, "dir", ImageSelector()),
        ("dir", set(), "dir", ImageSelector()),
        ("dir:", {"dir"}, "dir", ImageSelector()),
        ("dir:1", {"dir"}, "dir", ImageSelector(text="1")),
        ("dir:1", set(), "dir", ImageSelector(text="1")),
        ("dir:1", {"dir", "dir:1"}, "dir:1", ImageSelector()),
        ("/a/b:c/d", {"/a/b:c/d"}, "/a/b:c/d", ImageSelector()),
        ("/a/b:c/d:1", {"/a/b:c/d"}, "/a/b:c/d", ImageSelector(text="1")),
        ("/a/b:c/d:host:5000/repo:1", {"/a/b:c/d", "/a/b"}, "/a/b:c/d", ImageSelector(text="host:5000/repo:1")),
        ("dir:host:5000/repo:1", set(), "dir", ImageSelector(text="host:5000/repo:1")),
        ("dir:host:5000/repo:1", {"dir:host"}, "dir:host", ImageSelector(text="5000/repo:1")),
        (f"dir@{D1}", {"dir"}, "dir", ImageSelector(digest=D1)),
        (f"dir:@{D1}", {"dir"}, "dir", ImageSelector(digest=D1)),
        (f"dir:1@{D1}", set(), "dir", ImageSelector(text="1", digest=D1)),
        (f"dir:repo:1@{D1}", {"dir"}, "dir", ImageSelector(text="repo:1", digest=D1)),
        (f"dir:{D1}", {"dir"}, "dir", ImageSelector(digest=D1)),
        (f"dir:{D1}", set(), "dir", ImageSelector(digest=D1)),
        (f"dir:sha512:{'a' * 128}", {"dir"}, "dir", ImageSelector(digest=Digest.parse(f"sha512:{'a' * 128}"))),
        (f"dir:sha256:{D1.hex[:12]}", {"dir"}, "dir", ImageSelector(text=f"sha256:{D1.hex[:12]}")),
        ("dir:@0", {"dir"}, "dir", ImageSelector(position=0)),
        ("-", {"-"}, "-", ImageSelector()),
        ("-:repo:1", {"-"}, "-", ImageSelector(text="repo:1")),
        ("user@host", {"user@host"}, "user@host", ImageSelector()),
    ],
)
def test_the_longest_path_that_is_there_is_the_path(text: str, there: set[str], path: str, name: ImageSelector) -> None:
    assert split_path(text, there.__contains__) == (path, name)


@pytest.mark.parametrize("text", [":1", "a\0b", f"dir@sha256:{'0' * 63}", f"dir:1@sha256:{'G' * 64}"])
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"has no file name|is not a valid path|is not a sha256 digest"):
        split_path(text, lambda _: False)


@pytest.mark.parametrize("text", ["", "1", f"1@{D1}", f"@{D1}", "@3"])
def test_a_name_is_spelt_as_it_was_read(text: str) -> None:
    assert str(ImageSelector.parse(text)) == text


def test_the_annotation_as_it_stands_goes_first() -> None:
    entries = (entry(D2, ref="1", image="docker.io/library/machine:1"), entry(D1, ref="docker.io/library/machine:1"))

    assert [found.digest for found in select_entries(entries, ImageSelector(text="docker.io/library/machine:1"))] == [
        D1
    ]
    assert [found.digest for found in select_entries(entries, ImageSelector(text="1"))] == [D2]


@pytest.mark.parametrize(
    "text", ["machine:1", "docker.io/machine:1", "library/machine:1", "docker.io/library/machine:1"]
)
def test_a_name_may_be_spelt_as_docker_spells_it(text: str) -> None:
    assert select_entries(
        (entry(D1, ref="1", image="docker.io/library/machine:1"), entry(D2, ref="2")), ImageSelector(text=text)
    )


def test_the_spelling_of_the_original_eci_is_read() -> None:
    entries = (entry(D1, ref=f"docker.io/lfedge/eci-nginx:1@{D1}"), entry(D2, ref=f"docker.io/lfedge/eci-nginx:2@{D2}"))

    assert [found.digest for found in select_entries(entries, ImageSelector(text="docker.io/lfedge/eci-nginx:1"))] == [
        D1
    ]
    assert [
        found.digest for found in select_entries(entries, ImageSelector.parse(f"docker.io/lfedge/eci-nginx:2@{D2}"))
    ] == [D2]
    assert select_entries(entries, ImageSelector(text="docker.io/lfedge/eci-nginx:3")) == ()


def test_a_digest_decides_whatever_stands_before_it() -> None:
    entries = (entry(D1, ref="1"), entry(D2, ref="2"))

    assert select_entries(entries, ImageSelector(text="1", digest=D2)) == (entries[1],)
    assert select_entries(entries, ImageSelector(text="1", digest=Digest.of(b"three"))) == ()


def test_one_image_under_two_names_is_one_image() -> None:
    entries = (entry(D1), entry(D1, ref="machine"))

    assert len(select_entries(entries, ImageSelector())) == 1


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (D1.hex[:3], True),
        (D1.hex[:12], True),
        (D1.hex, True),
        (f"sha256:{D1.hex[:12]}", True),
        (D1.hex[:2], False),
        ("", False),
        (D1.hex[:12].upper(), False),
        (D1.hex[1:13], False),
        (f"sha512:{D1.hex[:12]}", False),
    ],
)
def test_the_beginning_of_an_id_is_three_digits_at_least(text: str, is_one: bool) -> None:
    assert is_id_prefix(text, D1) is is_one


def test_messages_name_each_image_once() -> None:
    entries = (entry(D1), entry(D1, ref="edge:1"), entry(D1, ref="edge:1"), entry(D1, ref="edge:latest"), entry(D2))

    [hint] = no_match_error("oci:dir", entries, ImageSelector(text="nope")).__notes__
    several = str(ambiguous_error("oci:dir", distinct(entries), ImageSelector(), entries))

    assert hint == f"hint: it contains 'edge:1' = 'edge:latest', '@{D2}'"
    assert several == f"oci:dir: 2 images: a name is required: 'edge:1' = 'edge:latest', '@{D2}'"


def test_messages_about_many_images_have_an_end() -> None:
    entries = [entry(Digest.of(b"%d" % number), ref="\x1b" * 400) for number in range(1000)]

    [hint] = no_match_error("oci:dir", entries, ImageSelector(text="nope")).__notes__

    assert hint.isprintable()
    assert "980 more" in hint


def test_a_place_counts_from_nothing() -> None:
    entries = (entry(D1), entry(D2))

    assert select_entries(entries, ImageSelector(position=1)) == (entries[1],)
    assert select_entries(entries, ImageSelector(position=2)) == ()


@pytest.mark.parametrize("text", ["1", "machine:1", "docker.io/lfedge/eci-nginx:1", "localhost:5000/a_b/c--d:v1.0+x"])
def test_names_that_can_be_written(text: str) -> None:
    assert ImageSelector.parse(text).writable().text == text


@pytest.mark.parametrize("text", ["a b", "a\nb", "\x1b[2J", "-rf", ".", "ä", "@0", "a" * 600])
def test_names_that_cannot_be_written(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a valid image name|is a position in the index"):
        ImageSelector.parse(text).writable()


def test_names_from_images_are_listed_escaped_and_not_without_end() -> None:
    text = quoted_list([f"\x1b[2Jimage-{number}\n" for number in range(1000)])

    assert text.isprintable()
    assert len(text) < 1000
    assert "980 more" in text


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("machine", "machine:latest", True),
        ("machine:1", "docker.io/library/machine:1", True),
        ("index.docker.io/a/b", "a/b:latest", True),
        ("machine:1", "machine:2", False),
        ("localhost/machine", "machine", False),
        ("<none>:<none>", "<none>:<none>", True),
        ("A B", "a b", False),
    ],
)
def test_two_spellings_of_one_name_are_the_same(one: str, other: str, expected: bool) -> None:
    assert same_reference(one, other) is expected


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("docker://[::1]:5000/a/b:1", "[::1]:5000/a/b:1"),
        ("containerd:a/b", "a/b"),
        ("docker-daemon:a:1", "a:1"),
        ("containers-storage:[vfs@/x]localhost/a:1", "localhost/a:1"),
        ("containers-storage:a:1", "a:1"),
        ("oci-archive:-:a:1", "a:1"),
        ("docker-archive:none.tar:a:1", "a:1"),
        ("docker-archive:none.tar", ""),
    ],
)
def test_an_image_is_called_the_same_wherever_it_is(reference: str, name: str) -> None:
    assert image_name(reference) == name


@pytest.mark.parametrize("digest", [str(D1), f"sha512:{'a' * 128}"])
def test_a_digest_in_the_place_of_a_name_is_not_written(digest: str) -> None:
    with pytest.raises(UsageError, match="is an id"):
        split_path(f"dir:{digest}", {"dir"}.__contains__)[1].writable()

    assert split_path(f"dir@{digest}", {"dir"}.__contains__)[1].writable().digest == Digest.parse(digest)
