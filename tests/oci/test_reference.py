"""References are read as Docker reads them: against a table of its own tests' kinds, and against a naive reader."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_convert.errors import UsageError
from eci_convert.oci.digest import Digest
from eci_convert.oci.reference import Reference

DIGEST = f"sha256:{64 * 'a'}"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("ubuntu", "docker.io/library/ubuntu:latest"),
        ("ubuntu:22.04", "docker.io/library/ubuntu:22.04"),
        ("lfedge/eci", "docker.io/lfedge/eci:latest"),
        ("docker.io/ubuntu", "docker.io/library/ubuntu:latest"),
        ("index.docker.io/ubuntu", "docker.io/library/ubuntu:latest"),
        ("docker.io/library/ubuntu", "docker.io/library/ubuntu:latest"),
        ("localhost/foo", "localhost/foo:latest"),
        ("localhost:5000/foo:1", "localhost:5000/foo:1"),
        ("localhost", "docker.io/library/localhost:latest"),
        ("localhost:5000", "docker.io/library/localhost:5000"),
        ("registry.example/a/b/c:v", "registry.example/a/b/c:v"),
        ("registry.example:443/a", "registry.example:443/a:latest"),
        ("registry/a", "docker.io/registry/a:latest"),
        ("REGISTRY/a", "REGISTRY/a:latest"),
        ("Registry.Example/a", "Registry.Example/a:latest"),
        ("127.0.0.1/a", "127.0.0.1/a:latest"),
        ("[::1]/a:b", "[::1]/a:b"),
        ("[fe80::1]:5000/a", "[fe80::1]:5000/a:latest"),
        (f"a@{DIGEST}", f"docker.io/library/a@{DIGEST}"),
        (f"h.example:1/a:t@{DIGEST}", f"h.example:1/a:t@{DIGEST}"),
        ("a__b/c-_d" .replace("-_", "--"), "docker.io/a__b/c--d:latest"),
        ("xn--n3h.com/a", "xn--n3h.com/a:latest"),
        (f"a:{'t' * 128}", f"docker.io/library/a:{'t' * 128}"),
    ],
)  # fmt: skip
def test_what_docker_reads_is_read_the_same(text: str, meant: str) -> None:
    assert str(Reference.parse(text)) == meant


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "@", "/", "a:", "a@", "Ubuntu", "a/B", "localhost:5000/Foo", "a//b", "/a", "a/", "-a", "a-", "a___b",
        "a..b", "a b", "a\n", "ä", "a:ü", "a:-x", "a:.x", f"a:{'t' * 129}", "a@sha256:abc", f"a@md5:{32 * 'a'}",
        f"a@{DIGEST.upper()}", f"a@{DIGEST}@{DIGEST}", "http://a.example/b", "a.example:port/b", "-a.example/b",
        "a.example:1:2/b", "[::1/a", "::1/a", 64 * "a", "a" * 256, "h.example/", "user@h.example/a", "a:b:c",
        "h.example:/a",
    ],
)  # fmt: skip
def test_what_docker_refuses_is_refused_as_misuse(text: str) -> None:
    with pytest.raises(
        UsageError,
        match=r"is not a valid|is a shortened digest|invalid digest|must be lowercase|is an image id|longer than 255"
        r"|credentials are not",
    ):
        Reference.parse(text)


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="--username") as caught:
        Reference.parse("me:s3cret@h.example/a")
    assert "s3cret" not in str(caught.value)


def test_upper_case_is_explained() -> None:
    with pytest.raises(UsageError, match="must be lowercase"):
        Reference.parse("h.example/Machine")


def test_docker_s_short_form_is_known() -> None:
    assert Reference.parse("docker.io/library/ubuntu:1").familiar == "ubuntu:1"
    assert Reference.parse("docker.io/lfedge/eci").familiar == "lfedge/eci:latest"
    assert Reference.parse("h.example/library/a").familiar == "h.example/library/a:latest"


@pytest.mark.parametrize(
    "text", ["docker.io/localhost/a", "docker.io/library/a/b", "docker.io/a.b/c", f"library/{64 * 'a'}"]
)
def test_a_short_form_that_would_mean_something_else_is_not_used(text: str) -> None:
    assert Reference.parse(Reference.parse(text).familiar) == Reference.parse(text)


label = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,5}[a-zA-Z0-9])?", fullmatch=True)
component = st.from_regex(re.compile(r"[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", re.ASCII), fullmatch=True)
host = st.one_of(
    st.just("localhost"),
    st.builds(lambda labels: ".".join(labels), st.lists(label, min_size=2, max_size=3)),
    st.sampled_from(["127.0.0.1", "[::1]", "[2001:db8::7]"]),
)
port = st.one_of(st.just(""), st.integers(1, 65535).map(lambda number: f":{number}"))
tag = st.from_regex(re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", re.ASCII), fullmatch=True)
digest = st.binary(max_size=4).map(Digest.of)


@given(host, port, st.lists(component, min_size=1, max_size=3), st.one_of(st.none(), tag), st.one_of(st.none(), digest))
def test_the_parts_of_a_reference_come_back(
    host: str, port: str, path: list[str], tag: str | None, digest: Digest | None
) -> None:
    text = f"{host}{port}/{'/'.join(path)}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")

    reference = Reference.parse(text)

    hub = host + port in ("docker.io", "index.docker.io")
    assert reference.host == ("docker.io" if hub else host + port)
    assert reference.repository == ("library/" if hub and len(path) == 1 else "") + "/".join(path)
    assert reference.tag == (tag or ("" if digest else "latest"))
    assert reference.digest == digest


@given(st.text(alphabet=string.ascii_letters + string.digits + ".:/@-_[]", max_size=40))
def test_any_text_is_refused_or_means_what_it_says_when_said_in_full(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except UsageError:
        return
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference


@given(st.text(alphabet="aB1.:/@-_", max_size=24))
def test_a_naive_reader_agrees(text: str) -> None:
    try:
        found = str(Reference.parse(text))
    except UsageError:
        found = ""
    assert found == naive(text)


def naive(text: str) -> str:
    """The reference in full, read character by character; "" where it makes no sense. Digests are left out."""
    if "@" in text:
        return ""
    slash = text.rfind("/")
    colon = text.find(":", slash + 1)
    tag = "latest" if colon < 0 else text[colon + 1 :]
    name = text if colon < 0 else text[:colon]
    words = name.split("/")
    host = "docker.io"
    if len(words) > 1 and (set(words[0]) & set(".:") or words[0] == "localhost" or words[0] != words[0].lower()):
        host = words.pop(0)
    elif len(words) == 1:
        words.insert(0, "library")
    good = all(map(is_component, words)) and is_host(host) and is_tag(tag)
    return f"{host}/{'/'.join(words)}:{tag}" if good else ""


def is_component(word: str) -> bool:
    pieces = re.split(r"([._-]+)", word)
    names, signs = pieces[::2], pieces[1::2]
    good = set(string.ascii_lowercase + string.digits)
    return all(name and set(name) <= good for name in names) and all(
        sign in (".", "_", "__") or set(sign) == {"-"} for sign in signs
    )


def is_host(host: str) -> bool:
    name, colon, port = host.partition(":")
    labels = name.split(".")
    return (not colon or port.isdigit()) and all(
        each and each[0] != "-" and each[-1] != "-" and set(each) <= set(string.ascii_letters + string.digits + "-")
        for each in labels
    )


def is_tag(tag: str) -> bool:
    return bool(tag) and tag[0] not in ".-" and set(tag) <= set(string.ascii_letters + string.digits + "_.-")


@pytest.mark.parametrize("short", ["1ce595cc745d", "sha256:1ce595cc745d", "0" * 63])
def test_a_shortened_digest_is_said_to_be_one(short: str) -> None:
    with pytest.raises(UsageError, match="is a shortened digest") as caught:
        Reference.parse(f"registry.example/edge/machine@{short}")

    assert "list -q" in caught.value.__notes__[0]
