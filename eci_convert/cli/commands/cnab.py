"""`eci-convert cnab`: bundles (CNAB) in registries, as cnab-to-oci stores them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from eci_convert.cli import output
from eci_convert.cli.bundle_files import check_outputs, print_paths, read_map, read_named_bundle, write_outputs
from eci_convert.cli.command import Command, Group
from eci_convert.cli.options import CommonOptions, command, compat, digest_file, dry_run, option, options, write_digest
from eci_convert.cli.param_types import PathParam
from eci_convert.cnab.fixup import FixedBundle, FixupOptions
from eci_convert.cnab.fixup import fixup as fix_up
from eci_convert.cnab.platform_filter import parse_platforms
from eci_convert.cnab.pull import pull as pull_bundle
from eci_convert.cnab.push import push as push_bundle
from eci_convert.cnab.registries import Registries
from eci_convert.errors import EciError, UsageError
from eci_convert.oci.reference import Reference
from eci_convert.progress import Failed, Reporter, note
from eci_convert.transports import parse_reference as parse_transport

_FIXUP_EXAMPLES = """
eci-convert cnab fixup bundle.json --target registry.example/apps/shop:1.2 --auto-update-bundle
"""
_PUSH_EXAMPLES = """
eci-convert cnab push bundle.json --target registry.example/apps/shop:1.2 --auto-update-bundle
eci-convert cnab push fixed-bundle.json -t registry.example/apps/shop:1.2 --component-platforms linux/amd64,linux/arm64
"""
_PULL_EXAMPLES = """
eci-convert cnab pull registry.example/apps/shop:1.2 --bundle bundle.json --relocation-map -
"""

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class GoFlags(Command):
    """A command whose flags may have a value, as those of Go programs: `--push-images=false`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [self._plain(ctx, word) for word in args])

    def _plain(self, ctx: click.Context, word: str) -> str:
        name, equals, value = word.partition("=")
        for flag in self.params if equals else ():
            if isinstance(flag, click.Option) and flag.is_flag and name in flag.opts:
                if value in _TRUE:
                    return name
                if value in _FALSE:
                    return flag.secondary_opts[0] if flag.secondary_opts else "--"
                raise click.BadParameter(f"{value!r} is neither true nor false", ctx, flag)
        return word


def listed(*name: str, help: str, metavar: str) -> Callable[[Any], Any]:
    """An option that may be repeated, and takes several values with commas between them."""
    return option(*name, multiple=True, metavar=metavar, help=help)


def split_list(values: tuple[str, ...]) -> tuple[str, ...]:
    """The single values of an option made by `listed`."""
    return tuple(word for value in values for word in value.split(",") if word)


_WITHOUT = frozenset({"platforms", "address", "namespace", "verbose"})
"""A bundle is in a registry, and has options of its own for platforms."""

FILE = click.argument("file", type=PathParam(str))
TARGET = option("-t", "--target", metavar="REF", required=True, help="Where the bundle goes.")
AUTO_UPDATE = option(
    "--auto-update-bundle/--no-auto-update-bundle",
    help="Write the digests, sizes and media types that are found into the bundle.",
)
INSECURE = listed(
    "--insecure-registries",
    metavar="HOST,…",
    help="Registries whose certificates are not checked; plain HTTP where they speak no TLS.",
)
_STRICT = option("--strict", is_flag=True, help="Write cnab-to-oci's own bytes: what it does not know is dropped.")
_FROM_MAP = option(
    "--from-relocation-map",
    type=PathParam(str),
    metavar="FILE",
    help="Where images are, if they are not where the bundle has them: the map that pull or fixup wrote.",
)
BUNDLE = {
    "fixup": option("--bundle", default="fixed-bundle.json", type=PathParam(str), metavar="FILE", show_default=True,
                    help="Where the bundle goes; - is standard output."),
    "pull": option("--bundle", default="pulled.json", type=PathParam(str), metavar="FILE", show_default=True,
                   help="Where the bundle goes; - is standard output."),
}  # fmt: skip
MAP = option(
    "--relocation-map",
    default="relocation-map.json",
    type=PathParam(str),
    metavar="FILE",
    show_default=True,
    help="Where the relocation map goes; - is standard output.",
)
FALLBACKS = option(
    "--allow-fallbacks/--no-allow-fallbacks",
    default=True,
    show_default=True,
    help="What a registry refuses is sent in a form that older ones know.",
)
PUSH_IMAGES = option(
    "--push-images/--no-push-images",
    default=True,
    show_default=True,
    help="Images that no registry has are pushed from the local engine.",
)
PLATFORMS = options(
    listed("--invocation-platforms", metavar="OS/ARCH,…", help="What to keep of an invocation image of several."),
    listed("--component-platforms", metavar="OS/ARCH,…", help="What to keep of component images of several."),
)


@command(
    FILE, TARGET, BUNDLE["fixup"], MAP, _FROM_MAP, INSECURE, AUTO_UPDATE, _STRICT, dry_run,
    examples=_FIXUP_EXAMPLES, cls=GoFlags, without=_WITHOUT,
)  # fmt: skip
def fixup(
    call: CommonOptions, *, file: str, target: str, bundle: str, relocation_map: str, from_relocation_map: str | None,
    insecure_registries: tuple[str, ...], auto_update_bundle: bool, strict: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Copy the images of the bundle FILE into the repository of its target, and write the bundle with their digests,
    and a map that says where each is now. FILE `-` is standard input.

    An image that is not what the bundle promises is an error, unless --auto-update-bundle.
    """
    check_outputs(call, bundle, relocation_map)
    reference, registries = places(call, target, insecure_registries)
    fixed = fix_up(
        read_named_bundle(file, strict=strict),
        reference,
        registries,
        FixupOptions(auto_update=auto_update_bundle, relocation_map=read_map(from_relocation_map), dry_run=dry_run),
        _Progress(call.reporter),
    )
    if dry_run:
        return _report_dry_run(call, reference, fixed)
    write_outputs(bundle, relocation_map, fixed, strict=strict)
    if call.json:
        output.json({"reference": f"docker://{reference}", "bundle": bundle, "relocation_map": relocation_map})
    elif call.quiet:
        print_paths(bundle, relocation_map)
    return None


@command(
    FILE, TARGET, _FROM_MAP, INSECURE, FALLBACKS, PLATFORMS, AUTO_UPDATE, PUSH_IMAGES, _STRICT, digest_file,
    dry_run, compat,
    examples=_PUSH_EXAMPLES, cls=GoFlags, without=_WITHOUT,
)  # fmt: skip
def push(
    call: CommonOptions, *, file: str, target: str, from_relocation_map: str | None,
    insecure_registries: tuple[str, ...],
    allow_fallbacks: bool, invocation_platforms: tuple[str, ...], component_platforms: tuple[str, ...],
    auto_update_bundle: bool, push_images: bool, strict: bool, digest_file: Path | None, dry_run: bool,
) -> None:  # fmt: skip
    """Fix up the bundle FILE and push it to its target: an index that names its description and all its images.

    Of an image for several platforms, --invocation-platforms and --component-platforms keep some: the bundle then
    names the smaller index.
    """
    options = FixupOptions(
        auto_update=auto_update_bundle,
        use_engine=push_images,
        invocation_platforms=parse_platforms(split_list(invocation_platforms)),
        component_platforms=parse_platforms(split_list(component_platforms)),
        relocation_map=read_map(from_relocation_map),
        dry_run=dry_run,
    )
    reference, registries = places(call, target, insecure_registries)
    fixed = fix_up(read_named_bundle(file, strict=strict), reference, registries, options, _Progress(call.reporter))
    pushed = push_bundle(
        fixed.bundle,
        reference,
        registries,
        allow_fallbacks=allow_fallbacks and call.settings.compat != "strict",
        strict=strict,
        dry_run=dry_run,
    )
    if dry_run:
        return _report_dry_run(call, reference, fixed, str(pushed.digest))
    write_digest(digest_file, pushed.digest)
    if call.json:
        return output.json({"reference": f"docker://{reference}", "digest": str(pushed.digest)})
    if call.quiet:
        return output.line(str(pushed.digest))
    return output.line(f'Pushed successfully, with digest "{pushed.digest}"')


@command(
    click.argument("reference"), BUNDLE["pull"], MAP, INSECURE, _STRICT,
    examples=_PULL_EXAMPLES, cls=GoFlags, without=_WITHOUT | {"concurrency"},
)  # fmt: skip
def pull(
    call: CommonOptions,
    *,
    reference: str,
    bundle: str,
    relocation_map: str,
    insecure_registries: tuple[str, ...],
    strict: bool,
) -> None:
    """Write the bundle REFERENCE, by its tag or digest, and a map that says where each of its images is."""
    check_outputs(call, bundle, relocation_map)
    source, registries = places(call, reference, insecure_registries)
    pulled = pull_bundle(source, registries, strict=strict)
    fixed = FixedBundle(bundle=pulled.bundle, relocation_map=pulled.relocation_map)
    write_outputs(bundle, relocation_map, fixed, strict=strict)
    if call.json:
        output.json(
            {"reference": f"docker://{source}", "digest": str(pulled.digest), "bundle": bundle,
             "relocation_map": relocation_map}
        )  # fmt: skip
    elif call.quiet:
        print_paths(bundle, relocation_map)


cnab = Group(
    "cnab",
    commands=[fixup, push, pull],
    help="Keep CNAB bundles in registries: a bundle.json and every image that it needs, in one repository.",
    epilog="\b\nExamples:\n"
    + "\n".join(f"  {line}" for line in (_FIXUP_EXAMPLES + _PUSH_EXAMPLES + _PULL_EXAMPLES).split("\n") if line),
)


class _Progress:
    """Reports images of a bundle as tasks."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def started(self, image: str) -> None:
        self._reporter.started(f"image {image}", None)

    def completed(self, image: str) -> None:
        self._reporter.finished(f"image {image}")

    def failed(self, image: str, error: EciError) -> None:
        note(self._reporter, Failed(task=f"image {image}"))
        self._reporter.finished(f"image {image}")


def places(call: CommonOptions, text: str, insecure: tuple[str, ...]) -> tuple[Reference, Registries]:
    """The reference *text*, which is in a registry, and how registries are spoken to. Raises UsageError."""
    scheme, rest = parse_transport(text, "docker")
    if scheme.name != "docker":
        raise UsageError(f"{text!r}: a bundle is in a registry")
    reference = Reference.parse(rest)
    return reference, Registries(settings=call.settings, own=reference.host, insecure=split_list(insecure))


def _report_dry_run(call: CommonOptions, target: Reference, fixed: FixedBundle, digest: str = "") -> None:
    """Says where each image would be, and as what the bundle would be pushed."""
    if call.json:
        pushed = {"digest": digest} if digest else {}
        output.json({"reference": f"docker://{target}", **pushed, "images": fixed.relocation_map, "dry_run": True})
        return
    for image, place in fixed.relocation_map.items():
        output.line(f"{image} would be {place}")
    if digest:
        output.line(f"the bundle would be docker://{target} with digest {digest}")
