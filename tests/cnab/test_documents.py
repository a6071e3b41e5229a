"""CNAB bundles, against what cnab-to-oci's own tests promise."""

from __future__ import annotations

import json
import math
import struct
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eci_convert.cnab import documents as cnab
from eci_convert.cnab import relocation
from eci_convert.cnab.canonical_json import canonical
from eci_convert.cnab.documents import Variant
from eci_convert.errors import FormatError, UsageError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import BUNDLE_COMPONENT, BUNDLE_KIND, Index
from eci_convert.oci.manifest import parse_manifest

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "cnab.json").read_text())
BUNDLE = VECTORS["bundle"]
IMAGES = [*BUNDLE["invocationImages"], *BUNDLE["images"].values()]
DIGESTS = {image["image"]: Digest.parse(image["contentDigest"]) for image in IMAGES}


def measured(content: bytes) -> dict[str, object]:
    return {"size": len(content), "digest": str(Digest.of(content))}


def the_config(variant: Variant = Variant.CNAB) -> Descriptor:
    return Descriptor.of(*cnab.config_manifest(cnab.config_blob(BUNDLE), variant, strict=True))


def the_index() -> Index:
    found = parse_manifest(*cnab.index(BUNDLE, the_config(), DIGESTS))
    assert isinstance(found, Index)
    return found


@pytest.mark.parametrize("strict", [True, False])
def test_the_config_blob_is_the_originals(strict: bool) -> None:
    assert measured(cnab.config_blob(BUNDLE, strict=strict)) == VECTORS["expect"]["config_blob"]


@pytest.mark.parametrize("variant", Variant)
def test_the_configs_manifest_is_the_originals(variant: Variant) -> None:
    content, _ = cnab.config_manifest(cnab.config_blob(BUNDLE), variant, strict=True)

    assert measured(content) == VECTORS["expect"][f"config_manifest_{variant}"]


def test_a_manifest_that_is_not_strict_has_a_list_of_layers() -> None:
    content, _ = cnab.config_manifest(b"{}")

    assert json.loads(content)["layers"] == []


def test_the_index_is_the_originals() -> None:
    assert measured(cnab.index(BUNDLE, the_config(), DIGESTS)[0]) == VECTORS["expect"]["index_oci"]
    assert measured(cnab.index(BUNDLE, the_config(), DIGESTS, docker=True)[0]) == VECTORS["expect"]["index_docker"]


def test_strict_keeps_what_the_original_knows_and_drops_the_rest() -> None:
    odd = deepcopy(BUNDLE) | {"unknown": 1, "credentials": None}
    odd["actions"]["action-1"] |= {"stateless": False, "x": 1}
    lean = {key: value for key, value in BUNDLE.items() if key != "credentials"}

    assert cnab.config_blob(odd, strict=True) == cnab.config_blob(lean)
    assert json.loads(cnab.config_blob({"name": "n"}, strict=True)) == {
        "schemaVersion": "", "name": "n", "version": "", "description": "", "invocationImages": None
    }  # fmt: skip


def test_a_bundle_is_found_again() -> None:
    assert cnab.config_of(the_index()).digest == the_config().digest
    assert relocation.relocation_map(BUNDLE, the_index(), "host/repo") == {
        name: f"host/repo@{digest}" for name, digest in DIGESTS.items()
    }


def _with(**changes: object) -> dict[str, object]:
    changed: dict[str, Any] = deepcopy(BUNDLE)
    changed["invocationImages"][0] |= changes
    return changed


@pytest.mark.parametrize(
    ("bundle", "message"),
    [
        (BUNDLE | {"invocationImages": IMAGES[:1] * 2}, "only one"),
        (BUNDLE | {"invocationImages": None}, "only one"),
        (_with(size=0), "size"),
        (_with(size=-1), "size"),
        (_with(mediaType="text/plain"), "media type"),
        (_with(mediaType="", imageType="vm"), "media type"),
        (_with(image="elsewhere"), "relocation map"),
    ],
)
def test_a_bundle_that_cannot_be_stored_is_refused(bundle: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cnab.index(bundle, the_config(), DIGESTS)


def test_an_image_without_a_media_type_has_that_of_its_kind() -> None:
    content, _ = cnab.index(_with(mediaType=""), the_config(), DIGESTS)

    assert json.loads(content) == json.loads(cnab.index(BUNDLE, the_config(), DIGESTS)[0])


@pytest.mark.parametrize(
    ("annotations", "media_type"),
    [
        ({}, "application/vnd.oci.image.manifest.v1+json"),
        ({BUNDLE_KIND: "other"}, "application/vnd.oci.image.manifest.v1+json"),
        ({BUNDLE_KIND: "component"}, "application/vnd.oci.image.manifest.v1+json"),
        ({BUNDLE_KIND: "component", BUNDLE_COMPONENT: "nobody"}, "application/vnd.oci.image.manifest.v1+json"),
        ({BUNDLE_KIND: "config"}, "text/plain"),
    ],
)
def test_an_index_that_is_not_the_bundles_is_refused(annotations: dict[str, str], media_type: str) -> None:
    odd = Index(manifests=(Descriptor.of(b"x", media_type, annotations),))

    with pytest.raises(FormatError, match=r"missing$|is not a kind of manifest|is not the media type of a manifest"):
        relocation.relocation_map(BUNDLE, odd, "host/repo")


def test_an_index_without_a_config_is_no_bundle() -> None:
    with pytest.raises(FormatError, match="bundle config not found"):
        cnab.config_of(Index(manifests=()))


@pytest.mark.parametrize(
    ("bits", "text"),
    [  # RFC 8785, appendix B
        (0x0000000000000000, "0"),
        (0x8000000000000000, "0"),
        (0x0000000000000001, "5e-324"),
        (0x8000000000000001, "-5e-324"),
        (0x7FEFFFFFFFFFFFFF, "1.7976931348623157e+308"),
        (0x4340000000000000, "9007199254740992"),
        (0x4430000000000000, "295147905179352830000"),
        (0x44B52D02C7E14AF5, "9.999999999999997e+22"),
        (0x44B52D02C7E14AF6, "1e+23"),
        (0x444B1AE4D6E2EF4E, "999999999999999700000"),
        (0x444B1AE4D6E2EF50, "1e+21"),
        (0x3EB0C6F7A0B5ED8C, "9.999999999999997e-7"),
        (0x3EB0C6F7A0B5ED8D, "0.000001"),
        (0x41B3DE4355555555, "333333333.3333333"),
        (0xBECBF647612F3696, "-0.0000033333333333333333"),
        (0x43143FF3C1CB0959, "1424953923781206.2"),
    ],
)
def test_numbers_are_written_as_the_rfc_has_them(bits: int, text: str) -> None:
    [number] = struct.unpack(">d", bits.to_bytes(8, "big"))

    assert canonical(number).decode() == text


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_back(number: float) -> None:
    assert float(canonical(number)) == number


def test_keys_are_in_the_order_of_utf16() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]

    ordered = list(json.loads(canonical(dict.fromkeys(names))))

    assert ordered == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {"a": {1}}])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical(value)
