"""The commands, flags, output and exit codes that onmetal-image and ironcore-image share.

Their defects are not repeated (docs/howto/migrate-from-onmetal-and-ironcore.md has the list): short ids are ids, each
image is listed once and sorted, what is not there cannot be deleted, reading makes no store, and --docker-config-path
counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from eci_convert.cli import output
from eci_convert.cli.go_flags import Flag, ParsedFlags
from eci_convert.cli.go_tool import Tool, ToolCommand
from eci_convert.errors import EciError, LocalError, NotFoundError, UsageError
from eci_convert.files.temp_files import is_directory, status_of
from eci_convert.oci import media_types
from eci_convert.oci.reference import Reference
from eci_convert.operations.store.ironcore_store import (
    ImageFiles,
    IroncoreStore,
    canonical_problem,
    split_canonical,
)
from eci_convert.transports.settings import Settings

_WORDS = ("rootfs", "initramfs", "kernel", "squashfs", "uki", "iso")
_NARROWEST = 12


def _build_onmetal(tool: Tool, parsed: ParsedFlags) -> None:
    files = {word: parsed.text(f"{word}-file") for word in ("rootfs", "initramfs", "kernel")}
    tag = parsed.text("tag")
    image = ImageFiles(files=files, command_line=parsed.text("command-line"))
    digest = _store(parsed).build_onmetal(image, tag)
    output.line(" ".join(filter(None, ("Successfully built", tag, digest.hex))))


def _build_ironcore(tool: Tool, parsed: ParsedFlags) -> None:
    images = [_arch_config(text) for text in parsed.values["config"] if text != "[]"]
    tag = parsed.text("tag")
    digest = _store(parsed).build_ironcore(images, tag, _annotations(parsed))
    for image in images:
        output.line(f"Successfully built and pushed image for arch {image.architecture}")
    output.line(f"Successfully built multi-arch index: {tag or digest.hex}")


def _arch_config(text: str) -> ImageFiles:
    """What one `--config` says. A path may hold commas and equals signs, as long as no word of ours follows a comma."""
    wrong = f'invalid argument "{text}" for "--config" flag: '
    fields: dict[str, str] = {}
    last = ""
    for piece in text.split(","):
        key, equals, value = piece.partition("=")
        if not equals and (not last or last == "arch" or not os.path.exists(f"{fields[last]},{piece}")):
            raise UsageError(f"{wrong}invalid format in --arch-config: {piece}")
        if equals and key in (*_WORDS, "arch", "cmdline"):
            fields[last := key] = value
        elif last and last != "arch" and os.path.exists(f"{fields[last]},{piece}"):
            fields[last] += f",{piece}"
        else:
            raise UsageError(f'{wrong}unknown field "{key}" in --config')
    architecture = fields.pop("arch", "")
    if not architecture:
        raise UsageError(f"{wrong}arch is missing")
    command_line = _content(fields.pop("cmdline", ""), architecture)
    return ImageFiles(
        files={word: fields[word] for word in _WORDS if fields.get(word)},
        command_line=command_line,
        architecture=architecture,
    )


def _content(path: str, architecture: str) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise LocalError(f"error building image for arch {architecture}: open {path}: {reason}") from error


def _annotations(parsed: ParsedFlags) -> dict[str, str]:
    return dict(_pair(text) for text in parsed.texts("annotations") if text != "[]")


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f'invalid argument "{text}" for "--annotations" flag: {text} must be formatted as key=value')
    return key, value


def _list(tool: Tool, parsed: ParsedFlags) -> None:
    store = _store(parsed)
    indexes = {entry.digest for entry in store.entries() if entry.media_type in media_types.INDEXES}
    rows = [
        (*(word or "<none>" for word in split_canonical(image.name)), image.digest.hex[:12])
        for image in store.images()
        if image.digest and (tool.kind == "ironcore" or image.digest not in indexes)
    ]
    table = [("REPOSITORY", "TAG", "IMAGE ID"), *sorted(rows)]
    widths = [max(_NARROWEST, *(len(row[column]) + 1 for row in table)) for column in range(2)]
    output.lines(f"{repository.ljust(widths[0])}{tag.ljust(widths[1])}{image}" for repository, tag, image in table)


def _tag(tool: Tool, parsed: ParsedFlags) -> None:
    source, name = parsed.arguments
    with _prefixed("error tagging image"):
        _store(parsed).tag(source, name)
    output.line(f"Successfully tagged {name} with {source}")


def _inspect(tool: Tool, parsed: ParsedFlags) -> None:
    with _prefixed("error getting image"):
        document = _store(parsed).inspect(parsed.arguments[0])
    text = json.dumps(document, indent=2, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    output.text(text)


def _delete(tool: Tool, parsed: ParsedFlags) -> None:
    with _prefixed("error deleting image"):
        _store(parsed).delete(parsed.arguments[0])
    output.line(f"Successfully deleted {parsed.arguments[0]}")


def _push(tool: Tool, parsed: ParsedFlags) -> None:
    [name] = parsed.arguments
    store = _store(parsed)
    variants = "push-sub-manifests" in parsed.values and parsed.flag("push-sub-manifests")
    entry, children = store.push(name, variants=variants)
    if entry.media_type not in media_types.INDEXES:
        return output.line(f"Successfully pushed {name} {entry.digest.hex}")
    if variants:
        output.line("Detected index manifest. Pushing sub-manifests...")
    output.lines(f"Successfully pushed sub-manifest: {child.digest}" for child in children)
    return output.line(f"Successfully pushed index manifest: {name}")


def _pull(tool: Tool, parsed: ParsedFlags) -> None:
    [name] = parsed.arguments
    digest = _store(parsed).pull(name)
    output.line(f"Successfully pulled {name} {digest.hex}")


def _url(tool: Tool, parsed: ParsedFlags) -> None:
    from eci_convert.operations.store.ironcore_url import boot_request

    name, layer = parsed.arguments[0], parsed.text("layer")
    if problem := canonical_problem(name):
        raise UsageError(f"error resolving ref {name}: ref {name} is no named reference: {problem}")
    with _prefixed(f"error resolving ref {name}", NotFoundError):
        request = boot_request(Reference.parse(name), layer, _settings(parsed))
    output.text(json.dumps(request, indent=2))


def _store(parsed: ParsedFlags) -> IroncoreStore:
    return IroncoreStore(Path(parsed.text("store-path")), _settings(parsed))


def _settings(parsed: ParsedFlags) -> Settings:
    """What the registry is reached with: the first of --docker-config-path that is there, a file or its directory."""
    paths = [Path(text) for text in parsed.texts("docker-config-path")]
    files = [path / "config.json" if is_directory(path) else path for path in paths]
    return Settings(environ=os.environ, authfile=next((str(path) for path in files if status_of(path)), ""))


@contextmanager
def _prefixed(text: str, kind: type[EciError] = EciError) -> Iterator[None]:
    """Errors of the block, if they are of *kind*, say first what was being done."""
    try:
        yield
    except kind as error:
        raise UsageError(f"{text}: {error}") from error


_BUILD_TEXT = "Build an image and store it to the local store with an optional tag."
_TAG_FLAG = {"tag": Flag(usage="Optional tag of image.")}
_PUSH_FLAGS = {
    "push-sub-manifests": Flag(usage="Push sub-manifests along with the index manifest.", kind="bool", default="true")
}
_COMMANDS: dict[str, ToolCommand] = {
    "delete": ToolCommand(run=_delete, text="Delete a local image.", names="image[:tag]", flags={}),
    "inspect": ToolCommand(
        run=_inspect,
        text="Inspect a local image, i.e. get its manifest and some of its metadata.",
        names="image[:tag]",
        flags={},
    ),
    "list": ToolCommand(run=_list, text="List all images that are available locally.", count=None, flags={}),
    "pull": ToolCommand(
        run=_pull,
        text="Pull an image from a remote registry determined by the image name.",
        names="image[:tag]",
        flags={},
    ),
    "push": ToolCommand(
        run=_push,
        text="Push a local image to a remote registry determined by the image name.",
        names="image[:tag]",
        flags={},
    ),
    "tag": ToolCommand(
        run=_tag,
        text="Tag a local image with a given name (and optional tag).",
        names="source-image[:tag] target-image[:tag]",
        count=2,
        flags={},
    ),
    "url": ToolCommand(
        run=_url,
        text="Compute the URL for retrieving a remote image manifest or a layer.",
        names="image[:tag] [layer-media-type]",
        flags={"layer": Flag(usage="Specify to get the URL to a specific layer.")},
    ),
}

ONMETAL = Tool(
    name="onmetal-image",
    kind="onmetal",
    docker_config=Flag(usage="docker-config-path", kind="strings"),
    commands=_COMMANDS
    | {
        "build": ToolCommand(
            run=_build_onmetal,
            text=_BUILD_TEXT,
            count=None,
            flags={
                "command-line": Flag(usage="Command line arguments to supply to the kernel."),
                "initramfs-file": Flag(usage="Path pointing to an initram fs file."),
                "kernel-file": Flag(usage="Path pointing to a kernel file (usually ending with 'vmlinuz')."),
                "rootfs-file": Flag(usage="Path pointing to a root fs file."),
                **_TAG_FLAG,
            },
        )
    },
)
IRONCORE = Tool(
    name="ironcore-image",
    kind="ironcore",
    docker_config=Flag(usage="Path to look up for docker configuration. Leave empty for default location."),
    commands=_COMMANDS
    | {
        "build": ToolCommand(
            run=_build_ironcore,
            text=_BUILD_TEXT,
            count=None,
            flags={
                "annotations": Flag(
                    usage="Annotations for the IndexManifest in the format 'key=value'. Can specify multiple key-value "
                    "pairs.",
                    kind="strings",
                    default="[]",
                    type_name="stringToString",
                ),
                "config": Flag(
                    usage="Architecture-specific configuration in the format 'arch=amd64,rootfs=path,initramfs=path'. "
                    "Can be specified multiple times.",
                    default="[]",
                    type_name="archConfig",
                ),
                **_TAG_FLAG,
            },
        ),
        "push": replace(_COMMANDS["push"], flags=_PUSH_FLAGS),
    },
)
