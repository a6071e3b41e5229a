"""What is kept of a bundle.json: in strict mode the bytes of the original, otherwise everything that says something."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eci_convert.cnab import bundle as bundles
from eci_convert.cnab.documents import config_blob
from eci_convert.errors import FormatError
from tests.support.cnab_golden import case, cases

STORED = [name for name in cases() if "config.json" in case(name).documents and case(name).command("push")]
RESOLVED = ("contentDigest", "size", "mediaType")


def stored(content: bytes | str, *, strict: bool) -> Any:
    text = content if isinstance(content, bytes) else content.encode()
    return json.loads(config_blob(bundles.parse(text, strict=strict), strict=strict))


def with_images_of(bundle: dict[str, Any], recorded: dict[str, Any]) -> dict[str, Any]:
    pairs = list(zip(bundle["invocationImages"], recorded["invocationImages"], strict=True))
    pairs += [(bundle["images"][name], image) for name, image in recorded.get("images", {}).items()]
    for image, resolved in pairs:
        image.update({key: resolved[key] for key in RESOLVED})
    return bundle


@pytest.mark.parametrize("name", STORED)
def test_a_strict_config_is_the_recorded_one(name: str) -> None:
    recorded = case(name)
    parsed = dict(bundles.parse(recorded.bundle, strict=True))

    bundle = with_images_of(parsed, json.loads(recorded.text("config.json")))

    assert config_blob(bundle, strict=True) == recorded.text("config.json")


@pytest.mark.parametrize("name", STORED)
def test_a_recorded_config_is_read_and_written_again_unchanged(name: str) -> None:
    blob = case(name).text("config.json")

    assert config_blob(bundles.parse(blob, strict=True), strict=True) == blob


@pytest.mark.parametrize("name", ["bad-json", "definitions-falsy-values", "schema-version-number"])
def test_what_the_original_refuses_is_refused_in_its_words(name: str) -> None:
    recorded = case(name)
    push = recorded.command("push")
    assert push is not None

    with pytest.raises(FormatError) as error:
        bundles.parse(recorded.bundle, strict=True)

    assert f"Error: {error.value}\n" == push["stderr"]


def test_definitions_keep_what_they_say_unless_strict() -> None:
    definitions = {"a": {"maxItems": 2, "anyOf": [{"type": "string"}], "default": None, "enum": []}, "b": True}
    bundle = json.dumps({"name": "n", "definitions": definitions})

    assert stored(bundle, strict=False)["definitions"] == definitions
    assert stored(json.dumps({"definitions": {"a": definitions["a"]}}), strict=True)["definitions"] == {"a": {}}


@pytest.mark.parametrize(
    ("schema", "kept"),
    [
        ({"default": 0, "const": 0}, {"default": 0, "const": 0}),
        ({"default": False, "const": ""}, {"default": False, "const": ""}),
        ({"default": [], "const": {}}, {"default": [], "const": {}}),
        ({"minimum": 0, "maxLength": 0, "maxItems": 3, "maxProperties": 3}, {"minimum": 0, "maxLength": 0}),
        ({"additionalProperties": False, "items": False}, {"additionalProperties": False, "items": False}),
        ({"description": "", "enum": [], "required": [], "properties": {}}, {}),
        ({"properties": {"a": None, "b": {"x": 1}}}, {"properties": {"a": None, "b": {}}}),
        ({"allOf": [{"TITLE": "t"}], "readonly": False}, {"allOf": [{"title": "t"}], "readOnly": False}),
    ],
)
def test_a_strict_definition_has_the_fields_of_the_original(schema: dict[str, Any], kept: dict[str, Any]) -> None:
    assert stored(json.dumps({"definitions": {"d": schema}}), strict=True)["definitions"] == {"d": kept}


@pytest.mark.parametrize("strict", [True, False])
def test_keys_match_in_any_case_and_the_last_of_several_counts(strict: bool) -> None:
    bundle = '{"name":"a","NAME":"b","Images":{"x":{"IMAGE":"i","Labels":{"A":"1","a":"2"}}},"name":"c"}'

    found = stored(bundle, strict=strict)

    assert found["name"] == "c"
    assert found["images"] == {"x": {"image": "i", "imageType": "", "description": "", "labels": {"A": "1", "a": "2"}}}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (b'"\\ud800"', "\ufffd"), (b'"\\ud83d\\ude00"', "\U0001f600"), (b'"a\xff\xfeb"', "a\ufffd\ufffdb"),
        (b"12345678901234567890123", 1.2345678901234568e22), (b"-0.0", 0), (b"1e2", 100), (b"null", None),
    ],
)  # fmt: skip
def test_custom_values_are_those_that_go_reads(text: bytes, kept: Any) -> None:
    assert stored(b'{"custom":{"k":' + text + b"}}", strict=True)["custom"] == {"k": kept}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"name":', "unexpected end of JSON input"),
        ('{"name":"x', "unexpected end of JSON input"),
        ('{"name":x}', "invalid character 'x'"),
        ('{"custom":{"a":NaN}}', "NaN"),
        ('{"custom":{"a":1e999}}', "cannot unmarshal number 1e999"),
        ("[1]", "cannot unmarshal array"),
        ('{"images":[]}', "cannot unmarshal array into Go struct field Bundle.images"),
        ('{"invocationImages":[{"size":-1}]}', "cannot unmarshal number -1 into Go struct field"),
        ('{"invocationImages":[{"size":1.5}]}', "of type uint64"),
        ('{"actions":{"a":{"modifies":1}}}', "Bundle.actions.modifies of type bool"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_what_is_no_bundle_is_a_format_error(text: str, words: str) -> None:
    with pytest.raises(FormatError) as error:
        bundles.parse(text.encode())

    assert words in str(error.value)
