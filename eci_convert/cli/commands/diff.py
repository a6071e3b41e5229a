"""`eci-convert diff`: compares two images."""

from __future__ import annotations

from typing import Any

import click

from eci_convert.cli import options, output
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.exit_codes import DIFFERENT
from eci_convert.cli.options import CommonOptions, command
from eci_convert.model import part_label
from eci_convert.oci.platform import Platform
from eci_convert.operations.diff import Difference
from eci_convert.operations.diff import diff as compare
from eci_convert.operations.part_sizes import PartFacts
from eci_convert.reading.open_image import open_image

_EXAMPLES = """
eci-convert diff my-machine:1.2 my-machine:1.3
eci-convert diff docker://registry.example/edge/machine:1.2 oci:layout:edge --json
"""


@command(
    click.argument("first", metavar="A"),
    click.argument("second", metavar="B"),
    options.max_size,
    examples=_EXAMPLES,
)
def diff(call: CommonOptions, *, first: str, second: str, max_size: int | None) -> None:
    """Say which parts, labels and platforms differ between the images A and B, whatever their formats.

    Exit code 0: nothing differs; 10: something does. Parts are read where no manifest tells their digests. A name
    without a transport is an image in the Docker engine, or where ECI_CONVERT_DEFAULT_TRANSPORT says.
    """
    default = call.default_transport
    check_connections(call, reads=[first, second], default=default)
    with (
        open_image(first, call.reading, default) as one,
        open_image(second, call.reading, default) as other,
    ):
        difference = compare(one, other, platform=call.platform, options=call.transfer(max_size))
    if call.json:
        output.json(_json(difference))
    else:
        _print(difference)
    if not difference.is_same:
        output.flush()
        raise click.exceptions.Exit(DIFFERENT)


def _json(difference: Difference) -> dict[str, Any]:
    return {
        "a": {"reference": difference.first.reference, "digest": str(difference.first.digest)},
        "b": {"reference": difference.second.reference, "digest": str(difference.second.digest)},
        "same": difference.is_same,
        "platforms": {
            "only_a": [str(platform) for platform in difference.only_first],
            "only_b": [str(platform) for platform in difference.only_second],
        },
        "parts": [
            {
                "platform": _text(each.platform),
                "role": str(each.part.role),
                "index": each.part.index,
                "name": each.part.name,
                "a": _facts(each.first),
                "b": _facts(each.second),
            }
            for each in difference.parts
        ],
        "labels": [
            {"platform": _text(each.platform), "key": each.key, "a": each.first, "b": each.second}
            for each in difference.labels
        ],
        "layers": [_text(platform) for platform in difference.layers],
    }


def _facts(facts: PartFacts | None) -> dict[str, Any] | None:
    if facts is None:
        return None
    return {
        "type": str(facts.disk_type) if facts.disk_type else None,
        "size": facts.size,
        "digest": str(facts.digest) if facts.digest else None,
    }


def _print(difference: Difference) -> None:
    for name, platforms in (("A", difference.only_first), ("B", difference.only_second)):
        for platform in platforms:
            output.line(f"{platform}: only in {name}")
    for each in difference.parts:
        label = part_label(each.part) if each.part.role != "other" else each.part.name
        output.line(f"{_prefix(each.platform)}{label}: {_described(each.first)} -> {_described(each.second)}")
    for pair in difference.labels:
        output.line(f"{_prefix(pair.platform)}label {pair.key}: {_quoted(pair.first)} -> {_quoted(pair.second)}")
    for where in difference.layers:
        output.line(f"{_prefix(where)}neither image declares parts, and their layers differ")


def _described(facts: PartFacts | None) -> str:
    if facts is None:
        return "none"
    words = (str(facts.disk_type or ""), "" if facts.size is None else output.size(facts.size))
    return " ".join(filter(None, (*words, facts.digest.short if facts.digest else "")))


def _quoted(text: str | None) -> str:
    return "none" if text is None else repr(text)


def _prefix(platform: Platform | None) -> str:
    return f"{platform} " if platform else ""


def _text(platform: Platform | None) -> str | None:
    return str(platform) if platform else None
