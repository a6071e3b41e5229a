"""The commands: a row of COMMANDS is a command, loaded from the module of its name when it is used."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

_FOLDERS = {
    name: f"store.{name}" for name in ("attach", "delete", "discover", "index", "list", "preload", "tag", "url")
}
"""Commands that lie in a folder of this package."""

COMMANDS = {
    "dockerfile": "Print a Dockerfile that makes an ECI image of the parts.",
    "build": "Make an image of the parts, in the Docker engine or anywhere else.",
    "extract": "Write the parts of any image to files.",
    "inspect": "Show what is in an image: its dialects, platforms and parts.",
    "ls": "List the files of an image.",
    "diff": "Say which parts, labels and platforms of two images differ.",
    "push": "Send the parts to a registry as an ECI image (as `eci push` does).",
    "pull": "Write all of an ECI image to a directory (as `eci pull` does).",
    "pullfiles": "Write parts of an ECI image to chosen files (as `eci pullfiles` does).",
    "copy": "Copy an image between transports, optionally converting its format.",
    "list": "List the images of a layout, an archive, a registry, an engine or a store.",
    "tag": "Give an image more names, in its place.",
    "delete": "Remove images from a place, and what nothing refers to any more.",
    "verify": "Check that an image, or a directory, is what it claims to be.",
    "index": "Put images of several platforms under one name, or remove one of them.",
    "cnab": "Fix up, push and pull CNAB bundles (as cnab-to-oci does).",
    "preload": "Put images into a containers-storage tree, for podman or CRI-O in a machine.",
    "url": "Print where a boot loader gets a part of an image in a registry.",
    "attach": "Attach files to an image: an SBOM, a build log.",
    "discover": "List what refers to an image: signatures, SBOMs, what `attach` attached.",
    "doctor": "Tell what is here and what would be used: engines, a registry, a credential.",
    "completion": "Print the completion script for a shell.",
    "help": "Show how a command is used.",
    "version": "Print the version of this program.",
}
"""Every command and what `--help` says of it; the module of its name holds it."""

_IMAGES = ("dockerfile", "build", "extract", "inspect", "ls", "diff", "push", "pull", "pullfiles", "copy", "verify")
_OTHERS = ("doctor", "completion", "help", "version")
SECTIONS = {
    "Images": tuple(name for name in COMMANDS if name in _IMAGES),
    "Stores": tuple(name for name in COMMANDS if name not in (*_IMAGES, *_OTHERS)),
    "Other commands": tuple(name for name in COMMANDS if name in _OTHERS),
}
"""The commands by what they are about, in the order in which they are shown."""

_EXAMPLES = """
eci-convert build --kernel vmlinuz --root disk.raw -t my-machine:1
eci-convert extract docker://registry.example/edge/machine:1.2 out/
eci-convert copy docker-daemon:my-machine:1 oci:layout:my-machine
"""

ORIGINALS = {
    "cnab-to-oci": "cnab-to-oci's own command line, word for word.",
    "onmetal-image": "onmetal-image's own command line, word for word.",
    "ironcore-image": "ironcore-image's own command line, word for word.",
}
"""Other tools whose command lines are commands here, or when this program is called by their names."""


GROUPS = frozenset({"index", "cnab"})
"""Commands with a second word."""


def load_command(name: str) -> click.Command:
    """The command *name*, a row of COMMANDS, whose module is imported."""
    return cast("click.Command", getattr(import_module(f"{__name__}.{_FOLDERS.get(name, name)}"), name))


def all_commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with the words that name it (`index add`); all their modules are imported."""
    for name in COMMANDS:
        command = load_command(name)
        for word, subcommand in sorted(getattr(command, "commands", {"": command}).items()):
            yield f"{name} {word}".rstrip(), subcommand


def group() -> click.Group:
    """The command with all its subcommands, each of which is imported on demand."""
    import click

    from eci_convert._version import __version__
    from eci_convert.cli.command import Group
    from eci_convert.cli.param_types import EXAMPLES
    from eci_convert.streams import interrupts
    from eci_convert.transports.schemes import SCHEMES

    class Commands(Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(COMMANDS)

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            if cmd_name not in COMMANDS:
                return None
            return load_command(cmd_name)

        def invoke(self, ctx: click.Context) -> object:
            try:
                interrupts.check()
                return super().invoke(ctx)
            except KeyboardInterrupt as error:
                if sys.stderr.isatty():  # for ^C click prints a line end
                    raise
                raise click.Abort from error

        def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            for title, names in SECTIONS.items():
                originals = ORIGINALS.items() if title == "Stores" else ()
                with formatter.section(title):
                    formatter.write_dl([*((name, COMMANDS[name]) for name in names), *originals], col_max=16)
            with formatter.section("References"):
                formatter.write_dl([(scheme.spellings[0] + scheme.form, scheme.what) for scheme in SCHEMES])
            formatter.write_paragraph()
            formatter.write_text(
                "Every option has an environment variable, ECI_CONVERT_OPTION. `eci-convert help COMMAND` has examples."
            )

    commands = Commands(
        help="Turn the parts of a virtual machine (kernel, initrd, disks) into container images, and take them out of "
        "container images again.",
        epilog=EXAMPLES + _EXAMPLES.strip(),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    if os.environ.get("_ECI_CONVERT_COMPLETE"):
        from eci_convert.cli.shells import install_completion

        install_completion()
    return click.version_option(__version__, message="%(prog)s %(version)s")(commands)
