"""A bundle.json as cnab-go knows it (CNAB 1.x, `Bundle`): its fields, their types, and which may be absent.

The types are those of the original, its gaps included: its definitions know no `maxItems`, `maxProperties`, `anyOf`
and no boolean schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eci_convert.cnab.go_json import Field, ListOf, MapOf, Scalar, Struct, decode, encode, normalise

Bundle = Mapping[str, Any]

_TEXT = Scalar(go_name="string", accepts=(str,), zero="")
_FLAG = Scalar(go_name="bool", accepts=(bool,), zero=False)
_SIZE = Scalar(go_name="uint64", accepts=(int,), zero=0, minimum=0)
_FLAG_POINTER = Scalar(go_name="bool", accepts=(bool,))
_INTEGER_POINTER = Scalar(go_name="int", accepts=(int,))
_NUMBER_POINTER = Scalar(go_name="float64", accepts=(int, float))
_ANY = Scalar(go_name="interface {}", accepts=())
_TEXTS = ListOf(go_name="[]string", element=_TEXT)
_TEXT_MAP = MapOf(go_name="map[string]string", element=_TEXT)
_ANYTHING = MapOf(go_name="map[string]interface {}", element=_ANY)
_ANY_LIST = ListOf(go_name="[]interface {}", element=_ANY)

_LOCATION = {"path": Field(type=_TEXT), "env": Field(type=_TEXT)}
_BASE_IMAGE = {
    "imageType": Field(type=_TEXT, omit_empty=False),
    "image": Field(type=_TEXT, omit_empty=False),
    "contentDigest": Field(type=_TEXT),
    "size": Field(type=_SIZE),
    "labels": Field(type=_TEXT_MAP),
    "mediaType": Field(type=_TEXT),
}
_DESCRIPTION = {"description": Field(type=_TEXT)}
_APPLY_TO = {"applyTo": Field(type=_TEXTS)}
_REQUIRED = {"required": Field(type=_FLAG)}

_MAINTAINER = Struct(
    go_name="bundle.Maintainer",
    fields={"name": Field(type=_TEXT, omit_empty=False), "email": Field(type=_TEXT), "url": Field(type=_TEXT)},
)
_INVOCATION_IMAGE = Struct(go_name="bundle.InvocationImage", fields=_BASE_IMAGE)
_IMAGE = Struct(go_name="bundle.Image", fields={**_BASE_IMAGE, "description": Field(type=_TEXT, omit_empty=False)})
_ACTION = Struct(
    go_name="bundle.Action", fields={"modifies": Field(type=_FLAG), "stateless": Field(type=_FLAG), **_DESCRIPTION}
)
_PARAMETER = Struct(
    go_name="bundle.Parameter",
    fields={
        "definition": Field(type=_TEXT, omit_empty=False),
        "destination": Field(
            type=Struct(go_name="bundle.Location", fields=_LOCATION, pointer=True), omit_empty=False
        ),
        **_APPLY_TO, **_DESCRIPTION, **_REQUIRED,
    },
)  # fmt: skip
_CREDENTIAL = Struct(go_name="bundle.Credential", fields={**_LOCATION, **_APPLY_TO, **_DESCRIPTION, **_REQUIRED})
_OUTPUT = Struct(
    go_name="bundle.Output",
    fields={
        "definition": Field(type=_TEXT, omit_empty=False),
        "path": Field(type=_TEXT, omit_empty=False),
        **_APPLY_TO,
        **_DESCRIPTION,
    },
)

_schema_fields: dict[str, Field] = {}
_SCHEMA = Struct(go_name="struct { *definition.wrapperType }", fields=_schema_fields, pointer=True)
_SCHEMAS = MapOf(go_name="definition.Definitions", element=_SCHEMA)
_schema_fields |= {
    name: Field(type=go_type)
    for go_type, names in (
        (_TEXT, "$schema $comment $id $ref contentEncoding contentMediaType description format pattern title"),
        (_ANY, "additionalItems additionalProperties const default items type"),
        (_ANY_LIST, "enum examples"),
        (_ANYTHING, "dependencies"),
        (_TEXTS, "required"),
        (_NUMBER_POINTER, "exclusiveMaximum exclusiveMinimum maximum minimum multipleOf"),
        (_INTEGER_POINTER, "maxLength minItems minLength minProperties"),
        (_FLAG_POINTER, "readOnly uniqueItems writeOnly"),
        (_SCHEMA, "contains else if not oneOf propertyNames then"),
        (ListOf(go_name="[]*definition.Schema", element=_SCHEMA), "allOf"),
        (_SCHEMAS, "definitions patternProperties properties"),
    )
    for name in names.split()
}


def _bundle(definitions: Field) -> Struct:
    always = {name: Field(type=_TEXT, omit_empty=False) for name in ("schemaVersion", "name", "version", "description")}
    always["schemaVersion"] = Field(
        type=Scalar(go_name="schema.Version", accepts=(str,), zero=""), omit_empty=False
    )  # fmt: skip
    invocation = ListOf(go_name="[]bundle.InvocationImage", element=_INVOCATION_IMAGE)
    return Struct(
        go_name="Bundle",
        fields={
            **always,
            "invocationImages": Field(type=invocation, omit_empty=False),
            "keywords": Field(type=_TEXTS),
            "maintainers": Field(type=ListOf(go_name="[]bundle.Maintainer", element=_MAINTAINER)),
            "images": Field(type=MapOf(go_name="map[string]bundle.Image", element=_IMAGE)),
            "actions": Field(type=MapOf(go_name="map[string]bundle.Action", element=_ACTION)),
            "parameters": Field(type=MapOf(go_name="map[string]bundle.Parameter", element=_PARAMETER)),
            "credentials": Field(type=MapOf(go_name="map[string]bundle.Credential", element=_CREDENTIAL)),
            "outputs": Field(type=MapOf(go_name="map[string]bundle.Output", element=_OUTPUT)),
            "definitions": definitions,
            "license": Field(type=_TEXT),
            "requiredExtensions": Field(type=_TEXTS),
            "custom": Field(type=_ANYTHING),
        },
    )


_STRICT = _bundle(Field(type=_SCHEMAS))
_LENIENT = _bundle(Field(type=_ANYTHING))
"""Definitions are JSON schemas, all of which keep what they say."""


def parse(content: bytes, *, strict: bool = False, where: str = "bundle") -> Bundle:
    """The bundle in *content*; *strict* drops what the original does not know.

    Raises FormatError, in the original's words, and LimitExceededError.
    """
    return normalised(decode(content, where), strict=strict)


def normalised(bundle: Any, *, strict: bool = False) -> dict[str, Any]:
    """*bundle* with keys as CNAB spells them and values of the right types. Raises FormatError."""
    result: dict[str, Any] = normalise({} if bundle is None else bundle, _STRICT if strict else _LENIENT, strict=strict)
    return result


def as_stored(bundle: Bundle, *, strict: bool = False) -> dict[str, Any]:
    """What is stored of *bundle*: fields that must be there are, and those that say nothing are not."""
    go_type = _STRICT if strict else _LENIENT
    result: dict[str, Any] = encode(normalise(bundle, go_type, strict=strict), go_type)
    return result
