"""`cnab-to-oci`: compatible flags, output and exit codes, so that an alias replaces the original.

What it stores is byte for byte what the original stores. Its defects are not repeated: a platform filter's smaller
index is what the bundle names, and local images are pushed without moving the target's tag.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import click

from eci_convert.cli import output
from eci_convert.cli.bundle_files import read_bundle, write_outputs
from eci_convert.cli.exit_codes import run_guarded
from eci_convert.cli.go_flags import Flag, ParsedFlags, parse_flags, usage
from eci_convert.cli.output import text
from eci_convert.cnab.fixup import FixedBundle, FixupOptions, fixup
from eci_convert.cnab.images import ImageDeniedError, ImageNotFoundError, ImageUnreachableError
from eci_convert.cnab.platform_filter import parse_platforms
from eci_convert.cnab.pull import pull
from eci_convert.cnab.push import push
from eci_convert.cnab.registries import Registries
from eci_convert.errors import EciError, LocalError, NotFoundError, UsageError, printable
from eci_convert.oci.reference import Reference
from eci_convert.transports.settings import Settings

NAME = "cnab-to-oci"

_LEVELS = frozenset({"panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"})
_GLOBAL = {
    "log-level": Flag(usage='Set the logging level ("debug"|"info"|"warn"|"error"|"fatal")', default="info"),
    "help": Flag(usage=f"help for {NAME}", kind="bool", default="false", short="h"),
}
_TARGET = {"target": Flag(usage="reference where the bundle will be pushed", short="t")}
_INSECURE = {"insecure-registries": Flag(usage="Use plain HTTP for those registries", kind="strings")}
_MAP = {"relocation-map": Flag(usage="relocation map output file (- to print on standard output)",
                               default="relocation-map.json")}  # fmt: skip
_AUTO_UPDATE = {
    "auto-update-bundle": Flag(
        usage="Updates the bundle image properties with the one resolved on the registry", kind="bool", default="false"
    )
}
_BUNDLE_USAGE = "bundle output file (- to print on standard output)"


def main(words: Sequence[str]) -> int:
    """Runs the command line *words* of cnab-to-oci and returns its exit code."""
    return run_guarded(lambda: _run(list(words)), debug=False)


def _run(words: list[str]) -> None:
    try:
        _dispatch(words)
    except EciError as error:
        _print_lines(f"Error: {_message(error)}")
        raise click.exceptions.Exit(1) from error


def _dispatch(words: list[str]) -> None:
    position = next((number for number, word in enumerate(words) if word in _COMMANDS), None)
    if position is None:
        parsed = parse_flags(words, _GLOBAL)
        if parsed.arguments and parsed.arguments[0] != "help":
            raise UsageError(f'unknown command "{parsed.arguments[0]}" for "{NAME}"\nRun \'{NAME} --help\' for usage.')
        _check_level(parsed)
        return output.text(_HELP)
    command = words.pop(position)
    run, flags, text = _COMMANDS[command]
    parsed = parse_flags(words, {**flags, **_GLOBAL})
    if parsed.flag("help"):
        return output.text(f"{text}\n\nUsage:\n  {NAME} {command}\n\nFlags:\n{usage(flags)}")
    _check_level(parsed)
    expected = 0 if command == "version" else 1
    if len(parsed.arguments) != expected:
        raise UsageError(f"accepts {expected} arg(s), received {len(parsed.arguments)}")
    return run(parsed)


def _fixup(parsed: ParsedFlags) -> None:
    bundle = _bundle(parsed)
    target = _reference(parsed.text("target"))
    options = FixupOptions(auto_update=parsed.flag("auto-update-bundle"))
    fixed = fixup(bundle, target, _registries(parsed), options, _Lines())
    write_outputs(parsed.text("bundle"), parsed.text("relocation-map"), fixed, strict=True)


def _push(parsed: ParsedFlags) -> None:
    if not parsed.text("target"):
        raise UsageError("--target flag must be set with a namespace ")
    bundle = _bundle(parsed)
    target, registries = _reference(parsed.text("target")), _registries(parsed)
    options = FixupOptions(
        auto_update=parsed.flag("auto-update-bundle"),
        use_engine=parsed.flag("push-images"),
        invocation_platforms=parse_platforms(parsed.texts("invocation-platforms")),
        component_platforms=parse_platforms(parsed.texts("component-platforms")),
    )
    fixed = fixup(bundle, target, registries, options, _Lines())
    pushed = push(fixed.bundle, target, registries, allow_fallbacks=parsed.flag("allow-fallbacks"), strict=True)
    output.line(f'Pushed successfully, with digest "{pushed.digest}"')


def _pull(parsed: ParsedFlags) -> None:
    reference = _reference(parsed.arguments[0])
    if not reference.tag and not reference.digest:
        raise UsageError(f'failed to resolve bundle manifest "{parsed.arguments[0]}": object required')
    try:
        pulled = pull(reference, _registries(parsed), strict=True)
    except NotFoundError as error:
        raise NotFoundError(f"{reference.familiar}: not found") from error
    fixed = FixedBundle(bundle=pulled.bundle, relocation_map=pulled.relocation_map)
    write_outputs(parsed.text("bundle"), parsed.text("relocation-map"), fixed, strict=True)


def _version(parsed: ParsedFlags) -> None:
    from eci_convert._version import __version__

    text(f"Version:    eci-convert {__version__}\nGit commit: unknown")


_COMMANDS: Mapping[str, tuple[Callable[[ParsedFlags], None], Mapping[str, Flag], str]] = {
    "fixup": (
        _fixup,
        {
            **_TARGET,
            "bundle": Flag(usage=_BUNDLE_USAGE, default="fixed-bundle.json"),
            **_MAP,
            **_INSECURE,
            **_AUTO_UPDATE,
        },
        "Fixes the digest of an image",
    ),
    "push": (
        _push,
        {
            **_TARGET,
            **_INSECURE,
            **_AUTO_UPDATE,
            "allow-fallbacks": Flag(
                usage="Enable automatic compatibility fallbacks for registries without support for custom media type, "
                "or OCI manifests",
                kind="bool",
                default="true",
            ),
            "invocation-platforms": Flag(usage="Platforms to push (for multi-arch invocation images)", kind="strings"),
            "component-platforms": Flag(usage="Platforms to push (for multi-arch component images)", kind="strings"),
            "push-images": Flag(
                usage="Allow to push missing images in the registry that are available in the local docker daemon "
                "image store",
                kind="bool",
                default="true",
            ),
        },
        "Fixes and pushes the bundle to an registry",
    ),
    "pull": (
        _pull,
        {"bundle": Flag(usage=_BUNDLE_USAGE, default="pulled.json"), **_MAP, **_INSECURE},
        "Pulls an image reference",
    ),
    "version": (_version, {}, "Shows the version"),
}

_HELP = f"""\
Usage:
  {NAME} [command]

Available Commands:
""" + "".join(f"  {name:<11} {text}\n" for name, (_, _, text) in sorted(_COMMANDS.items())) + f"""
Flags:
{usage(_GLOBAL)}
Use "{NAME} [command] --help" for more information about a command.
"""  # fmt: skip


class _Lines:
    """What the original prints of each image."""

    def started(self, image: str) -> None:
        _print_lines(f"Starting to copy image {image}...")

    def completed(self, image: str) -> None:
        _print_lines(f"Completed image {image} copy")

    def failed(self, image: str, error: EciError) -> None:
        _print_lines(f"Failed to copy image {image}: {_message(error)}")


def _print_lines(text: str) -> None:
    output.event("\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n")))


def _message(error: EciError) -> str:
    """The text of *error*; of several attempts, all of them, as Go's multierror lists them."""
    if not isinstance(error, ImageNotFoundError | ImageDeniedError | ImageUnreachableError):
        return str(error)
    attempts = getattr(error, "__notes__", [])
    heading = f"{len(attempts)} error{'' if len(attempts) == 1 else 's'} occurred:"
    return "\n".join([heading, *(f"\t* {error}: {attempt}" for attempt in attempts), "", ""])


def _reference(text: str) -> Reference:
    """The reference *text*, which has no tag unless it says one. A digest without a tag stays one."""
    if not text:
        raise UsageError("invalid reference format")
    reference = Reference.parse(text)
    tagged = ":" in text.partition("@")[0].rpartition("/")[2]
    return reference if tagged else replace(reference, tag="")


def _bundle(parsed: ParsedFlags) -> Mapping[str, object]:
    path = parsed.arguments[0]
    try:
        return read_bundle(path, strict=True)
    except LocalError as error:
        reason = getattr(error.__cause__, "strerror", None) or str(error)
        raise LocalError(f"open {path}: {reason.lower()}") from error


def _registries(parsed: ParsedFlags) -> Registries:
    return Registries(settings=Settings(environ=os.environ), insecure=parsed.texts("insecure-registries"))


def _check_level(parsed: ParsedFlags) -> None:
    level = parsed.text("log-level")
    if level.lower() not in _LEVELS:
        raise UsageError(f'not a valid logrus Level: "{level}"')
