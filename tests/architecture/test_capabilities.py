"""What a transport can do is said by `Source.traits`, `Sink.capabilities` and the rows of SCHEMES: nobody asks of which
class it is, nor whether it has an attribute."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import eci_convert
from eci_convert.transports.schemes import SCHEMES, Scheme

PACKAGE = Path(eci_convert.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if not path.name.endswith("_pb2.py"))

PROTOCOLS = {
    "Source": {"resolve", "fetch"},
    "Sink": {"put", "publish"},
    "Catalog": {"images", "tag"},
    "ContainerFiles": {"fetch", "full_image"},
}
"""The interfaces of transports/base.py, and methods by which a class of theirs is found."""

STREAMS = {
    "SparseStream", "RepeatableStream", "SinglePassStream", "MemberContent", "ContentProbe", "VerifiedInput",
    "HashingStream",
}  # fmt: skip
"""Streams of bytes: what a consumer may know of one, a function of the module that defines it tells."""

ATTRIBUTES = {
    "strerror": "OSError, whose subclasses in libraries may lack it",
    "reason": "errors of http.client, ssl and urllib3",
    "__notes__": "exceptions without a note do not have it",
    "name": "files in memory have none",
    "read": "content that a user of the library gives: bytes, a path or a file",
    "write": "an output that a user of the library gives: a path or a file",
    "flush": "outputs need not be buffered",
    "raw": "the socket of http.client's response",
    "_sock": "the socket of http.client's response",
    "TCP_NOTSENT_LOWAT": "not on every system",
    "warned": "an optional method of a Reporter",
    "noted": "an optional method of a Reporter",
    "stack": "a thread-local, which a new thread has not set",
    "token": "oras' authentication backends",
    "_basic_auth": "oras' authentication backends",
    "ctx": "click's errors",
    "group": "click's parameters",
    "commands": "click's groups",
}
"""Attributes that are looked up by name, of which none is a transport's. This list only shrinks."""


def implementations(source: str) -> set[str]:
    """The names of the classes in a module that implement an interface of the transports."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            methods = {member.name for member in node.body if isinstance(member, ast.FunctionDef)}
            if any(methods >= required for required in PROTOCOLS.values()):
                names.add(node.name)
    return names


def calls(source: str, *functions: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
            yield node


def classes_tested(source: str) -> set[str]:
    """The classes that a module tests for with `isinstance` or `issubclass`."""
    return {
        name.attr if isinstance(name, ast.Attribute) else name.id
        for call in calls(source, "isinstance", "issubclass")
        for name in ast.walk(call.args[1])
        if isinstance(name, ast.Name | ast.Attribute)
    }


def attributes_probed(source: str) -> set[str]:
    """The attributes that a module looks up by a constant name with `getattr` or `hasattr`."""
    return {
        str(call.args[1].value)
        for call in calls(source, "getattr", "hasattr")
        if isinstance(call.args[1], ast.Constant)
    }


def module_name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


IMPLEMENTATIONS = set().union(*(implementations(path.read_text()) for path in MODULES)) | PROTOCOLS.keys()


def test_the_transports_classes_are_found() -> None:
    assert {"RegistrySource", "LayoutSink", "MemorySink", "DryRunSink", "DockerContainerFiles"} <= IMPLEMENTATIONS
    assert {"RegistryCatalog", "MirroredSource", "StorageSource"} <= IMPLEMENTATIONS


def test_probes_are_found() -> None:
    source = "isinstance(x, (base.Sink, str)); issubclass(x, A | B); getattr(sink, 'recalls', 0); hasattr(y, 'z')"

    assert classes_tested(source) >= {"Sink", "str", "A", "B"}
    assert attributes_probed(source) == {"recalls", "z"}


def test_no_transport_is_recognized_by_its_class() -> None:
    tested = {module_name(path): classes_tested(path.read_text()) & IMPLEMENTATIONS for path in MODULES}

    assert not {module: classes for module, classes in tested.items() if classes}


def test_a_streams_class_is_the_business_of_its_own_module() -> None:
    tested = {}
    for path in MODULES:
        source = path.read_text()
        defined = {node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
        tested[module_name(path)] = classes_tested(source) & (STREAMS - defined)

    assert not {module: classes for module, classes in tested.items() if classes}


def test_no_capability_is_an_attribute_that_may_be_missing() -> None:
    probed = {name: module_name(path) for path in MODULES for name in attributes_probed(path.read_text())}

    assert not {name: module for name, module in probed.items() if name not in ATTRIBUTES}
    assert not ATTRIBUTES.keys() - probed.keys(), "no longer looked up: remove it from ATTRIBUTES"


def test_no_protocol_can_be_tested_for() -> None:
    checkable = [module_name(path) for path in MODULES if "runtime_checkable" in path.read_text()]

    assert not checkable


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_a_transport_that_stores_referrers_has_a_sink_for_them(scheme: Scheme) -> None:
    module = __import__(f"eci_convert.transports.{scheme.module}", fromlist=["open_referrer_sink"])

    assert hasattr(module, "open_referrer_sink") is scheme.referrers
