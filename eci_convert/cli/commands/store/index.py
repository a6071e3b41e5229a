"""`eci-convert index`: images of several platforms under one name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eci_convert.cli import options, output, push_report
from eci_convert.cli.command import Group
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.options import CommonOptions, command, option
from eci_convert.cli.push_report import report_dry_run, report_push
from eci_convert.dialects import INDEXED
from eci_convert.errors import UsageError
from eci_convert.operations.published_image import published_image
from eci_convert.pack.result import PushResult
from eci_convert.reading.open_image import open_image
from eci_convert.transports import image_name, open_sink, open_source
from eci_convert.transports.ids import digits, may_be_digest

if TYPE_CHECKING:
    from eci_convert.operations.push import PushRequest
    from eci_convert.operations.store.strategy import AppendOptions, Strategy
    from eci_convert.transports.base import Sink, Source

_STRATEGIES = ("merge", "overwrite", "abort", "prompt")
_TO_INDEX = option(
    "--annotation", "annotations", multiple=True, type=options.PAIR, metavar="KEY=VALUE",
    help="One more annotation of the index.",
)  # fmt: skip

append = option(
    "--append",
    type=click.Choice(_STRATEGIES),
    metavar="[=merge|overwrite|abort|prompt]",
    help="Put the image into the index that stands there, beside those of other platforms.",
)
"""`--append` alone is merge: the command line makes it so before it is parsed."""

_CREATE = """
eci-convert index create docker://registry.example/edge/machine:1 oci:amd64 oci:arm64
eci-convert index create oci:layout:machine docker://registry.example/edge/machine:1-amd64 oci:arm64 --annotation a=b
"""
_ADD = """
eci-convert index add docker://registry.example/edge/machine:1 oci:riscv64
eci-convert index add oci:layout:unikernel oci:built:xen --strategy abort
"""
_REMOVE = """
eci-convert index remove docker://registry.example/edge/machine:1 --platform linux/arm/v6
eci-convert index remove oci:layout:machine --digest sha256:0123…
"""


@command(
    click.argument("dst"),
    click.argument("sources", metavar="SRC...", nargs=-1, required=True),
    _TO_INDEX,
    options.max_size,
    options.digest_file,
    options.dry_run,
    examples=_CREATE,
    platform="Of a SRC that is an index, this image alone.",
)
def create(
    call: CommonOptions, *, dst: str, sources: tuple[str, ...], annotations: tuple[tuple[str, str], ...],
    max_size: int | None, digest_file: Path | None, dry_run: bool,
) -> None:  # fmt: skip
    """Make DST an index of the images SRC, each for the platform that it says itself.

    Of a SRC that is an index, all images come along, or that for --platform. What DST stood for is replaced.
    """
    from eci_convert.operations.store import index as operation

    settings = _settings(call, dst, dict(annotations), max_size, dry_run=dry_run)
    with _opened(call, dst, sources) as (opened, sink, _):
        packed = operation.create(opened, sink, call.platform, settings)
    _report(call, dst, packed, digest_file, f"Created {dst}", dry_run=dry_run)


@command(
    click.argument("dst"),
    click.argument("sources", metavar="SRC...", nargs=-1, required=True),
    option("--strategy", type=click.Choice(_STRATEGIES), default="merge", show_default=True,
           help="What becomes of the images of DST: kept but for the same platforms, dropped, or an error."),
    _TO_INDEX,
    options.max_size,
    options.digest_file,
    options.dry_run,
    examples=_ADD,
    platform="Of a SRC that is an index, this image alone.",
)  # fmt: skip
def add(
    call: CommonOptions, *, dst: str, sources: tuple[str, ...], strategy: str, annotations: tuple[tuple[str, str], ...],
    max_size: int | None, digest_file: Path | None, dry_run: bool,
) -> None:  # fmt: skip
    """Put the images SRC into the index DST, in the place of those of the same platforms; the others stay as they are.

    DST is made where it is not there; where it is one image, that becomes part of the index.
    """
    from eci_convert.operations.store import index as operation
    from eci_convert.operations.store.strategy import Strategy

    settings = _settings(call, dst, dict(annotations), max_size, dry_run=dry_run)
    with _opened(call, dst, sources) as (opened, sink, before):
        packed = operation.add(opened, sink, before, call.platform, Strategy(strategy), settings)
    _report(call, dst, packed, digest_file, f"Added to {dst}", dry_run=dry_run)


@command(
    click.argument("dst"),
    option("--digest", default="", metavar="DIGEST", help="The image to remove, or the beginning of its id."),
    _TO_INDEX,
    options.digest_file,
    options.dry_run,
    examples=_REMOVE,
    platform="The image to remove.",
)
def remove(
    call: CommonOptions, *, dst: str, digest: str, annotations: tuple[tuple[str, str], ...], digest_file: Path | None,
    dry_run: bool,
) -> None:  # fmt: skip
    """Take the image for --platform, or with --digest, out of the index DST. Its blobs stay where they are."""
    from eci_convert.operations.store import index as operation

    settings = _settings(call, dst, dict(annotations), None, dry_run=dry_run)
    if digest and not (digits(digest) or may_be_digest(digest)):
        raise UsageError(f"--digest {digest!r} is not a digest, nor three digits or more of one")
    with _opened(call, dst, ()) as (_, sink, before):
        packed = operation.remove(before, sink, platform=call.platform, digest=digest, settings=settings)
    _report(call, dst, packed, digest_file, f"Removed from {dst}", dry_run=dry_run)


index = Group(
    name="index",
    commands=[create, add, remove],
    help="Images of several platforms under one name.",
    epilog="\b\nExamples:\n" + "\n".join(f"  {line}" for line in (_CREATE + _ADD + _REMOVE).split("\n") if line),
    context_settings={"help_option_names": ["-h", "--help"]},
)


def publish_or_append(
    call: CommonOptions,
    strategy: str | None,
    sink: Sink,
    before: Source,
    request: PushRequest,
    push: Callable[..., PushResult],
) -> PushResult:
    """Pushes the image of *request* to *sink* and returns the result. With a *strategy*, the value of `--append`, it
    becomes part of the index that *before*, the same name as *sink*, reads. *push* sends the image; with
    `publish=False` it gets no name."""
    if strategy is None:
        return push()
    from eci_convert.operations.store.index import append, resolve_strategy
    from eci_convert.operations.store.strategy import AppendOptions, Strategy

    settings = AppendOptions(
        annotations=request.write.annotations if request.format in INDEXED else {},
        concurrency=call.settings.concurrency,
        dry_run=call.settings.dry_run,
        reporter=call.reporter,
        choose=lambda: _choose(before.origin),
    )
    chosen = resolve_strategy(Strategy(strategy), sink, before, settings)
    return append(push(publish=False), sink, before, chosen, settings)


def _settings(
    call: CommonOptions, dst: str, annotations: Mapping[str, str], max_size: int | None, *, dry_run: bool
) -> AppendOptions:
    from eci_convert.operations.store.index import check_name
    from eci_convert.operations.store.strategy import AppendOptions

    push_report.check_stdout(call, dst)
    check_name(dst)
    return AppendOptions(
        name=image_name(dst),
        annotations=annotations,
        max_size=max_size,
        concurrency=call.settings.concurrency,
        dry_run=dry_run,
        reporter=call.reporter,
        choose=lambda: _choose(dst),
    )


@contextmanager
def _opened(call: CommonOptions, dst: str, sources: Sequence[str]) -> Iterator[tuple[list[Source], Sink, Source]]:
    check_connections(call, reads=sources, writes=[dst])
    with ExitStack() as stack:
        opened = [stack.enter_context(open_image(source, call.reading)) for source in sources]
        before = stack.enter_context(open_source(dst, call.settings, ""))
        yield opened, stack.enter_context(open_sink(dst, call.settings, "")), before


def _choose(name: str) -> Strategy:
    """The strategy that the user enters at the terminal. Raises UsageError if there is no terminal."""
    from eci_convert.operations.store.strategy import Strategy

    if not sys.stdin.isatty():
        error = UsageError(f"{name} is there already, and nobody is at a terminal to say what becomes of it")
        error.add_note("hint: say merge, overwrite or abort")
        raise error
    answer = output.ask(f"{name} is there already: what becomes of it?", _STRATEGIES[:-1])
    return Strategy(answer) if answer else Strategy.ABORT


def _report(
    call: CommonOptions, dst: str, packed: PushResult, digest_file: Path | None, sentence: str, *, dry_run: bool
) -> None:
    if dry_run:
        return report_dry_run(call, dst, "", packed)
    image = published_image(dst, packed, call.settings)
    options.write_digest(digest_file, image.digest)
    return report_push(call, dst, "", packed, image, f"{sentence} with digest {image.digest}")
