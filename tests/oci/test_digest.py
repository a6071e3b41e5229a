from __future__ import annotations

import hashlib

import pytest

from eci_convert.errors import DigestMismatchError, FormatError
from eci_convert.oci.digest import Digest

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_digest_is_spelt_as_it_was_read() -> None:
    for text in (f"sha256:{EMPTY}", "sha512:" + hashlib.sha512().hexdigest()):
        assert str(Digest.parse(text)) == text
    assert Digest.parse(f"sha256:{EMPTY}") == Digest.of(b"")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        f":{EMPTY}",
        EMPTY,
        f"sha256:{EMPTY[:-1]}",
        f"sha256:{EMPTY}0",
        f"sha256:{EMPTY.upper()}",
        f"SHA256:{EMPTY}",
        f"sha256:{EMPTY}\n",
        f" sha256:{EMPTY}",
        f"sha256:{'g' * 64}",
        f"sha256:{'٠' * 64}",
        f"sha512:{EMPTY}",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        f"sha384:{'0' * 96}",
        f"blake3:{EMPTY}",
        f"sha256:../../{EMPTY[6:]}",
        f"sha256:{EMPTY[:63]}/",
        f"../sha256:{EMPTY}",
        f"sha256:sha256:{EMPTY}",
        "sha256:" + "0" * 100_000,
        "a" * 100_000,
        "a+" * 50_000 + ":0",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        Digest.parse(text, where="manifest.config.digest")

    assert str(caught.value).startswith("manifest.config.digest: ")
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_content_is_checked(algorithm: str) -> None:
    digest = Digest.of(b"content", algorithm)

    digest.check(b"content")
    with pytest.raises(DigestMismatchError) as caught:
        digest.check(b"tnetnoc", "the manifest")

    assert caught.value.expected == str(digest)
    assert caught.value.actual == str(Digest.of(b"tnetnoc", algorithm))
    assert str(caught.value).startswith("the manifest: digest mismatch: expected ")


def test_a_hasher_is_of_the_digests_own_algorithm() -> None:
    hasher = Digest.of(b"", "sha512").hasher()
    hasher.update(b"content")

    assert hasher.hexdigest() == hashlib.sha512(b"content").hexdigest()


def test_the_short_form_is_for_people() -> None:
    assert Digest.of(b"").short == "sha256:e3b0c44298fc"
