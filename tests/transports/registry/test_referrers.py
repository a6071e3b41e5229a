"""What refers to an image is found where registries keep it, and what stands there is what it should be."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_convert import testing as faults
from eci_convert.errors import LimitExceededError, TransportError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.testing import FaultyRegistry
from eci_convert.transports import open_source
from eci_convert.transports.registry import referrers
from eci_convert.transports.registry.http.links import next_page
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.registry.referrers import fallback_tag
from tests.support.home_directory import User

CONFIG = Descriptor.of(b"{}", media_types.OCI_CONFIG)


def put(registry: FaultyRegistry, text: bytes, media_type: str = media_types.OCI_MANIFEST, tag: str = "") -> Descriptor:
    found = Descriptor.of(text, media_type)
    for name in (str(found.digest), tag):
        if name:
            registry.manifests["machine", name] = (media_type, text)
    return found


def pointing(registry: FaultyRegistry, subject: Descriptor, name: str) -> Descriptor:
    pointer = Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size)
    return put(registry, to_json(Manifest(config=CONFIG, layers=(), subject=pointer, annotations={"name": name})))


def an_image(registry: FaultyRegistry, name: str = "1") -> Descriptor:
    return put(registry, to_json(Manifest(config=CONFIG, layers=(), annotations={"image": name})), tag=name)


def found(registry: FaultyRegistry, user: User, subject: Descriptor) -> set[Digest]:
    with user.source(registry) as source:
        return {one.digest for one in source.referrers(subject.digest)}


@pytest.mark.parametrize("status", [400, 404, 405, 406, 410, 415, 422, 501])
def test_a_registry_without_the_api_may_say_so_in_other_words(
    registry: FaultyRegistry, user: User, status: int
) -> None:
    subject = an_image(registry)
    one = pointing(registry, subject, "one")
    put(registry, to_json(Index(manifests=(one,))), media_types.OCI_INDEX, fallback_tag(subject.digest))
    registry.misbehave("GET", "/referrers/", faults.status(status, b"no"), times=9)
    assert found(registry, user, subject) == {one.digest}


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_registry_that_fails_or_forbids_is_not_one_without_the_api(
    registry: FaultyRegistry, user: User, status: int
) -> None:
    subject = an_image(registry)
    registry.misbehave("GET", "/referrers/", faults.status(status), times=99)
    with user.source(registry, retries=0) as source, pytest.raises(TransportError, match=r"unauthorized|500"):
        source.referrers(subject.digest)


def test_a_list_that_breaks_off_is_not_all_there_is(registry: FaultyRegistry, user: User) -> None:
    subject = an_image(registry)
    pointing(registry, subject, "one")
    registry.misbehave("GET", "/referrers/", faults.header("Link", '</v2/machine/referrers/more>; rel="next"'))
    registry.misbehave("GET", "/referrers/more", faults.status(404), times=9)
    with user.source(registry) as source, pytest.raises(TransportError, match="further page"):
        source.referrers(subject.digest)


def strange_things(registry: FaultyRegistry, subject: Descriptor) -> dict[str, tuple[str, bytes]]:
    other = an_image(registry, "2")
    return {
        "the image itself": registry.manifests["machine", str(subject.digest)],
        "another image": registry.manifests["machine", "2"],
        "an index of images": (media_types.OCI_INDEX, to_json(Index(manifests=(other,)))),
        "an index of the image": (media_types.OCI_INDEX, to_json(Index(manifests=(subject,)))),
        "no manifest": ("application/json", b"{}"),
        "no JSON": (media_types.OCI_INDEX, b"hello"),
        "an index that is none": (media_types.OCI_INDEX, b'{"schemaVersion": 2, "manifests": 7}'),
    }


STRANGE = [
    "the image itself", "another image", "an index of images", "an index of the image", "no manifest", "no JSON",
    "an index that is none",
]  # fmt: skip


@pytest.mark.parametrize("what", STRANGE)
def test_what_stands_under_the_tag_and_is_no_list_of_referrers_lists_none(
    registry: FaultyRegistry, user: User, what: str
) -> None:
    """GitLab reads the tag `sha256-HEX` as the digest `sha256:HEX`."""
    registry.has_referrers = False
    subject = an_image(registry)
    registry.manifests["machine", fallback_tag(subject.digest)] = strange_things(registry, subject)[what]
    assert found(registry, user, subject) == set()


def test_an_index_of_which_gitlab_hands_out_itself_has_no_referrers(registry: FaultyRegistry, user: User) -> None:
    registry.has_referrers = False
    child = an_image(registry)
    subject = put(registry, to_json(Index(manifests=(child,))), media_types.OCI_INDEX, "1")
    registry.manifests["machine", fallback_tag(subject.digest)] = registry.manifests["machine", "1"]
    assert found(registry, user, subject) == set()


def test_what_the_tag_lists_and_does_not_refer_to_the_image_is_passed_over(
    registry: FaultyRegistry, user: User
) -> None:
    registry.has_referrers = False
    subject, other = an_image(registry), an_image(registry, "2")
    good, stray = pointing(registry, subject, "good"), pointing(registry, other, "stray")
    gone = Descriptor.of(b"gone", media_types.OCI_MANIFEST)
    text = to_json(Index(manifests=(good, stray, gone, other)))
    put(registry, text, media_types.OCI_INDEX, fallback_tag(subject.digest))
    assert found(registry, user, subject) == {good.digest}
    assert any(gone.digest.short in warning for warning in user.warnings)


def test_a_list_of_the_api_has_an_end(registry: FaultyRegistry, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referrers, "_MAX_LISTED", 5)
    subject = an_image(registry)
    two = [pointing(registry, subject, name).json() for name in ("one", "two")]
    listed = json.dumps({"schemaVersion": 2, "manifests": two}).encode()
    link = f'</v2/machine/referrers/{subject.digest}?page=2>; rel="next"'
    page = faults.status(200, listed, Content_Type=media_types.OCI_INDEX, Link=link)
    registry.misbehave("GET", "/referrers/", page, times=99)

    with pytest.raises(LimitExceededError, match="more than 5 entries"):
        found(registry, user, subject)

    assert len(registry.seen("/referrers/")) == 3


def test_a_list_under_the_tag_has_an_end(registry: FaultyRegistry, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referrers, "_MAX_TAGGED", 2)
    registry.has_referrers = False
    subject = an_image(registry)
    entries = tuple(pointing(registry, subject, name) for name in "abc")
    put(registry, to_json(Index(manifests=entries)), media_types.OCI_INDEX, fallback_tag(subject.digest))
    with user.source(registry) as source, pytest.raises(LimitExceededError, match="has more than 2 entries"):
        source.referrers(subject.digest)


@pytest.mark.parametrize("what", [one for one in STRANGE if not one.startswith("an index of")])
def test_what_stands_under_the_tag_and_is_no_list_is_not_written_over(
    registry: FaultyRegistry, user: User, what: str
) -> None:
    """Distribution-spec v1.1.1, "Pushing Manifests with Subject": skip it, and say so."""
    registry.has_referrers = False
    subject = an_image(registry)
    key = ("machine", fallback_tag(subject.digest))
    before = registry.manifests[key] = strange_things(registry, subject)[what]
    pointer = Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size)
    with user.sink(registry, "machine:sig") as sink:
        config = sink.put(media_types.OCI_CONFIG, [b"{}"])
        text = to_json(Manifest(config=config, layers=(), subject=pointer))
        sink.publish(sink.put(media_types.OCI_MANIFEST, [text]))
    assert registry.manifests[key] == before
    assert any(key[1] in warning for warning in user.warnings)


@pytest.mark.parametrize("has_api", [True, False])
@pytest.mark.parametrize(("suffix", "what"), [("sig", "a signature"), ("att", "an attestation"), ("sbom", "an SBOM")])
def test_what_cosign_keeps_under_a_tag_is_told_of_and_is_no_referrer(
    registry: FaultyRegistry, user: User, suffix: str, what: str, has_api: bool
) -> None:
    registry.has_referrers = has_api
    subject = an_image(registry)
    tag = f"sha256-{subject.digest.hex}.{suffix}"
    put(registry, to_json(Manifest(config=CONFIG, layers=(), annotations={"by": "cosign"})), tag=tag)

    assert found(registry, user, subject) == set()

    [warning] = user.warnings
    assert f"the tag {tag} holds {what} of cosign's" in warning


def test_tags_of_cosign_are_not_looked_for_behind_each_referrer(registry: FaultyRegistry, user: User) -> None:
    subject = an_image(registry)
    one = pointing(registry, subject, "one")

    with user.source(registry) as source:
        source.referrers(subject.digest)
        source.referrers(one.digest)

    asked = [request.path for request in registry.seen("manifests", "HEAD")]
    assert len(asked) == 3
    assert all(subject.digest.hex in path for path in asked)


@pytest.mark.parametrize("status", [400, 404, 405, 401, 403, 429, 500, 503])
def test_a_registry_that_does_not_answer_head_is_not_an_error(
    registry: FaultyRegistry, user: User, status: int
) -> None:
    subject = an_image(registry)
    one = pointing(registry, subject, "one")
    put(registry, to_json(Manifest(config=CONFIG, layers=())), tag=f"sha256-{subject.digest.hex}.sig")
    registry.misbehave("HEAD", "manifests", faults.status(status), times=9)

    assert found(registry, user, subject) == {one.digest}
    assert not user.warnings


def test_in_a_layout_too_the_tag_may_mean_something_else(tmp_path: Path) -> None:
    subject = Descriptor.of(b"subject", media_types.OCI_MANIFEST)
    pointer = Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size)
    texts = [b"no JSON", b"{}", to_json(Manifest(config=CONFIG, layers=(), subject=pointer))]
    names: tuple[dict[str, str], ...] = ({"org.opencontainers.image.ref.name": fallback_tag(subject.digest)}, {})
    entries = [
        {**Descriptor.of(text, media_types.OCI_MANIFEST).json(), "annotations": name}
        for text in texts
        for name in names
    ]
    folder = tmp_path / "blobs/sha256"
    folder.mkdir(parents=True)
    for text in texts:
        (folder / Digest.of(text).hex).write_bytes(text)
    (tmp_path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (tmp_path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    with open_source(f"oci:{tmp_path}:@{Digest.of(texts[2])}", User(tmp_path).settings()) as source:
        assert {one.digest for one in source.referrers(subject.digest)} == {Digest.of(texts[2])}


URL = Url.parse("https://r.io/v2/a/referrers/x")


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ('</v2/a?n=1>; rel="next"', "/v2/a?n=1"),
        ("</v2/a?n=1>; rel=next", "/v2/a?n=1"),
        ("</v2/a?n=1>;rel=NEXT", "/v2/a?n=1"),
        ('</v2/a?n=1>; rel="last next"', "/v2/a?n=1"),
        ('</v2/a?n=1>; rel="prev", </v2/a?n=2>; rel="next"', "/v2/a?n=2"),
        ('</v2/a?n=2>; rel="next", </v2/a?n=1>; rel="prev"', "/v2/a?n=2"),
        ('</v2/a?n=1,2,3>; rel="next"', "/v2/a?n=1,2,3"),
        ('</v2/a?n=1,2;x>; title="a, b; rel=last"; rel="next"', "/v2/a?n=1,2;x"),
        ('</v2/a?last=x>; title="say \\"rel=next\\""; rel="prev"', None),
        ('</v2/a?n=1>; title="</v2/b>; rel=next"', None),
        ('</v2/a?n=1>; rel="nextpage"', None),
        ('</v2/a?n=1>; rel="prev"; rel="next"', None),
        ('</v2/a?rel="next">; rel="first"', None),
        ('</v2/a?n=1>; foo; rel="next"; type="text/html"', "/v2/a?n=1"),
        ("</v2/a?n=1>", None),
        ('<https://r.io/v2/b>; rel="next"', "/v2/b"),
        ("", None),
    ],
)
def test_links_are_read_as_the_standard_writes_them(link: str, target: str | None) -> None:
    """RFC 8288 §3."""
    following = next_page(URL, link)
    assert (following.target if following else None) == target


def test_a_list_goes_on_though_its_links_come_in_several_headers(registry: FaultyRegistry, user: User) -> None:
    subject = an_image(registry)
    one = pointing(registry, subject, "one")
    listed = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [one.json()]}).encode()
    page = faults.status(200, listed, Content_Type=media_types.OCI_INDEX)
    more = f"</v2/machine/referrers/{subject.digest}?n=1,2>"

    def first(reply: faults.Reply) -> faults.Reply:
        found = faults.status(200, b'{"schemaVersion": 2, "manifests": []}', Content_Type=media_types.OCI_INDEX)(reply)
        pairs = (
            *found.headers,
            ("Link", '</v2/x>; rel="first", </v2/y>; rel="prev"'),
            ("Link", f'{more}; rel="last next"'),
        )
        return replace(found, headers=pairs)

    registry.misbehave("GET", "/referrers/[^?]*$", first)
    registry.misbehave("GET", "n=1,2", page)
    assert found(registry, user, subject) == {one.digest}


@given(st.text(st.characters(max_codepoint=127), max_size=80))
def test_any_link_is_read_somehow(text: str) -> None:
    with suppress(TransportError):
        next_page(URL, text)


def test_a_link_without_end_takes_no_time() -> None:
    for text in ("<" * 500_000, "<a>;" * 500_000, '<a>;b="' + "\\a" * 500_000, "<a>" + ";" * 500_000, ",<a>" * 500_000):
        next_page(URL, text)
