from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eci_convert.errors import EciError, FormatError, LimitExceededError
from eci_convert.oci import json_fields

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_an_honest_document_is_read_as_it_is(value: dict[str, object]) -> None:
    for ascii_alone in (True, False):
        assert json_fields.document(json.dumps(value, ensure_ascii=ascii_alone).encode(), "x") == value


@given(st.binary(max_size=200))
def test_anything_else_is_one_clean_error(content: bytes) -> None:
    said: list[str] = []
    try:
        json_fields.document(content, "x")
    except EciError as error:
        said.append(str(error))
    assert "\n" not in "".join(said)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        b"{} {}",
        b"{}x",
        b"null",
        b"1",
        b'"text"',
        b"[]",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' + b"9" * 21 + b"}",
        b'{"a": 1, "a": 2}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"b": {"a": 1, "a": 1}}',
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"a": "\x01"}',
        b'{"a": "\xff"}',
        b'{"a": "\xc0\xaf"}',
        b'{"a": "\xed\xa0\x80"}',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-32-le"),
        b'{"a": 1}\0',
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 01}',
        b'{"a": .5}',
        b'{/* */"a": 1}',
    ],
)
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        json_fields.document(content, "manifest")

    assert str(caught.value).startswith("manifest: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b'{"a":' * 100 + b"1" + b"}" * 100, b"[" * 1_000_000, b'{"a":[' * 1000, b'{"a":' * 10]
)
def test_depth_has_a_limit(content: bytes) -> None:
    with pytest.raises(FormatError, match=r"levels deep|not a JSON document"):
        json_fields.document(content, "manifest")


def test_depth_is_counted_outside_of_strings() -> None:
    content = json.dumps({"a": "[{" * 1000 + '"\\"[[[' * 50}).encode()

    assert json_fields.document(content, "manifest")
    assert json_fields.document(b'{"a":' * 63 + b"{}" + b"}" * 63, "manifest")
    with pytest.raises(LimitExceededError, match="65 levels"):
        json_fields.document(b'{"a":' * 64 + b"{}" + b"}" * 64, "manifest")


def test_length_has_a_limit() -> None:
    assert json_fields.document(b"{}".ljust(json_fields.MAX_DOCUMENT), "manifest") == {}
    with pytest.raises(LimitExceededError, match="document is 4194305 bytes"):
        json_fields.document(b"{}".ljust(json_fields.MAX_DOCUMENT + 1), "manifest")


def test_an_array_is_read_as_strictly() -> None:
    assert json_fields.array(b"[1, null]", "x") == [1, None]
    for content in (b"{}", b"null", b"[NaN]", b"[" * 100, b"[1"):
        with pytest.raises(FormatError, match=r"^x: (expected array|not a JSON document|nested 100 levels deep)"):
            json_fields.array(content, "x")


DATA = {"int": 1, "text": "a", "true": True, "null": None, "list": [1], "map": {"k": "v"}, "float": 1.0}


@pytest.mark.parametrize(
    ("key", "kind", "message"),
    [
        ("none", int, "x.none: missing"),
        ("text", int, "x.text: expected int, not string"),
        ("true", int, "x.true: expected int, not bool"),
        ("true", str, "x.true: expected string, not bool"),
        ("null", int, "x.null: expected int, not null"),
        ("float", int, "x.float: expected int, not float"),
        ("int", bool, "x.int: expected bool, not int"),
        ("list", dict, "x.list: expected object, not array"),
        ("map", list, "x.map: expected array, not object"),
    ],
)
def test_a_field_of_another_kind_is_located(key: str, kind: type, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        json_fields.required(DATA, key, kind, "x")
    assert str(caught.value) == message


def test_optional_fields_may_be_absent_or_null_and_nothing_else() -> None:
    assert json_fields.optional(DATA, "none", int, "x", 7) == 7
    assert json_fields.optional(DATA, "null", int, "x", 7) == 7
    assert json_fields.optional(DATA, "int", int, "x", 7) == 1
    with pytest.raises(FormatError, match=r"x.text: expected int, not string"):
        json_fields.optional(DATA, "text", int, "x", 7)


def test_maps_of_text_hold_nothing_but_text() -> None:
    assert json_fields.strings(DATA, "map", "x") == {"k": "v"}
    assert json_fields.strings(DATA, "none", "x") == json_fields.strings(DATA, "null", "x") == {}
    with pytest.raises(FormatError) as caught:
        json_fields.strings({"map": {"\x1b[2J\n": 1}}, "map", "x")
    assert str(caught.value).isprintable()
