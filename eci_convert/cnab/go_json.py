"""JSON as Go's `encoding/json` decodes it into structs and encodes it again.

cnab-to-oci keeps a bundle as Go structs, so the bytes of a config blob depend on their rules: keys match whatever their
case, of repeated keys the last one counts, unknown keys vanish, `null` leaves a field as it is, and `omitempty` drops
what is empty. A `Struct` is such a type, as data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from eci_convert.errors import FormatError, LimitExceededError
from eci_convert.oci.json_fields import MAX_DOCUMENT

_MAX_INTEGER_DIGITS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A Go type that is one JSON value. *zero* is what it is without a value: None for pointers and `interface{}`."""

    go_name: str
    accepts: tuple[type, ...]
    zero: Any = None
    minimum: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """A slice; nil is written as `null`."""

    go_name: str
    element: Type


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf:
    """A map with string keys."""

    go_name: str
    element: Type


@dataclass(frozen=True, slots=True, kw_only=True)
class Struct:
    """A struct, or with *pointer* a pointer to one, which may be nil."""

    go_name: str
    fields: Mapping[str, Field] = field(hash=False)
    pointer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a struct: *omit_empty* is Go's `omitempty`."""

    type: Type
    omit_empty: bool = True


Type = Scalar | ListOf | MapOf | Struct


def decode(content: bytes, where: str) -> Any:
    """The JSON value in *content*. Bytes that are not UTF-8 and lone surrogates become U+FFFD, as in Go.

    Raises FormatError in Go's words, and LimitExceededError for more than 4 MiB.
    """
    if len(content) > MAX_DOCUMENT:
        raise LimitExceededError(f"document is {len(content)} bytes (limit {MAX_DOCUMENT})", where=where)
    text = content.decode("utf-8", "surrogateescape")
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_double
        )
        return _without_surrogates(value)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            raise FormatError("unexpected end of JSON input") from error
        character = text[error.pos].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        raise FormatError(f"invalid character {character!r} at offset {error.pos} of the JSON") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(str(error) if isinstance(error, ValueError) else "nested too deep", where=where) from error


def normalise(value: Any, go_type: Type, *, strict: bool, where: str = "") -> Any:
    """*value* as Go would hold it in a variable of *go_type*, and still tell an empty list from none: keys are spelt as
    the type has them, unknown ones dropped where *strict*, and `null` is the type's zero value.

    Raises FormatError, in Go's words, for a value of another type; *where* is the path of fields so far.
    """
    if value is None:
        return _zero(go_type)
    match go_type:
        case Scalar():
            return _scalar(value, go_type, where)
        case ListOf():
            elements = _expect(value, list, go_type, where)
            return [normalise(element, go_type.element, strict=strict, where=where) for element in elements]
        case MapOf():
            members = _expect(value, dict, go_type, where)
            return {
                key: normalise(member, go_type.element, strict=strict, where=where) for key, member in members.items()
            }
        case Struct():
            return _members(_expect(value, dict, go_type, where), go_type, strict=strict, where=where)


def encode(value: Any, go_type: Type) -> Any:
    """What Go writes of *value*, which `normalise` returned: fields without a value are added or left out."""
    match go_type:
        case ListOf() if value is not None:
            return [encode(element, go_type.element) for element in value]
        case MapOf() if value is not None:
            return {key: encode(member, go_type.element) for key, member in value.items()}
        case Struct() if value is not None:
            known = {
                name: encode(value.get(name, _zero(member.type)), member.type)
                for name, member in go_type.fields.items()
                if not (member.omit_empty and _is_empty(value.get(name), member.type))
            }
            return known | {key: member for key, member in value.items() if key not in go_type.fields}
        case _:
            return value


def _members(value: Mapping[str, Any], go_type: Struct, *, strict: bool, where: str) -> dict[str, Any]:
    folded = {name.casefold(): name for name in go_type.fields}
    members: dict[str, Any] = {}
    for key, member in value.items():
        name = key if key in go_type.fields else folded.get(key.casefold())
        if name is None:
            members |= {} if strict else {key: member}
        elif member is not None or name not in members:
            path = f"{where}.{name}" if where else f"{go_type.go_name}.{name}"
            members[name] = normalise(member, go_type.fields[name].type, strict=strict, where=path)
    return members


def _scalar(value: Any, go_type: Scalar, where: str) -> Any:
    wrong = go_type.accepts and (
        not isinstance(value, go_type.accepts) or isinstance(value, bool) is not (bool in go_type.accepts)
    )
    if wrong or (go_type.minimum is not None and value < go_type.minimum):
        raise _unsuitable(value, go_type.go_name, where)
    return value


def _expect(value: Any, kind: type, go_type: Type, where: str) -> Any:
    if not isinstance(value, kind):
        raise _unsuitable(value, go_type.go_name, where)
    return value


def _unsuitable(value: Any, go_name: str, where: str) -> FormatError:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    word = f"number {value}" if number and go_name in ("uint64", "int") else _word(value)
    into = f"Go struct field {where}" if where else "Go value"
    return FormatError(f"json: cannot unmarshal {word} into {into} of type {go_name}")


def _word(value: Any) -> str:
    words = {bool: "bool", str: "string", list: "array", dict: "object"}
    return words.get(type(value), "number")


def _zero(go_type: Type) -> Any:
    if isinstance(go_type, Scalar):
        return go_type.zero
    return {} if isinstance(go_type, Struct) and not go_type.pointer else None


def _is_empty(value: Any, go_type: Type) -> bool:
    match go_type:
        case Scalar():
            return value is None or (go_type.zero is not None and value == go_type.zero)
        case ListOf() | MapOf():
            return not value
        case Struct():
            return value is None and go_type.pointer


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        members.pop(key, None)  # the last one counts, and stands where it was written
        members[key] = value
    return members


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return value if value.isascii() else "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in value)
        case list():
            return [_without_surrogates(element) for element in value]
        case dict():
            return {_without_surrogates(key): _without_surrogates(member) for key, member in value.items()}
        case _:
            return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else _double(digits)


def _double(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"json: cannot unmarshal number {digits[:30]} into Go value of type float64")
    return value
