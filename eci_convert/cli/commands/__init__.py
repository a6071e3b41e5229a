"""The commands: a row of COMMANDS is a command, loaded from the module of its name when it is used."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import click

_FOLDERS = {name: f"store.{name}" for name in ("attach", "discover", "index", "preload", "url")}
"""Commands that lie in a folder of this package."""

COMMANDS = {
    "dockerfile": "Print a Dockerfile that makes an ECI image of the parts.",
    "build": "Make an ECI image of the parts, in the Docker engine or anywhere else.",
    "extract": "Write the parts of any image to files.",
    "inspect": "Show what is in an image: its dialects, platforms and parts.",
    "ls": "List the files of an image.",
    "diff": "Say which parts, labels and platforms of two images differ.",
    "push": "Send the parts to a registry as an ECI image (as `eci push` does).",
    "pull": "Write all of an ECI image to a directory (as `eci pull` does).",
    "pullfiles": "Write parts of an ECI image to chosen files (as `eci pullfiles` does).",
    "copy": "Move an image between any two places, re-expressed if asked.",
    "index": "Put images of several platforms under one name, or take one of them away.",
    "verify": "Check that an image, or a directory, is what it claims to be.",
    "cnab": "Fix up, push and pull CNAB bundles (as cnab-to-oci does).",
    "preload": "Put images into a containers-storage tree, for podman or CRI-O in a machine.",
    "url": "Print where a boot loader gets a part of an image in a registry.",
    "attach": "Attach files to an image: an SBOM, a build log.",
    "discover": "List what refers to an image: signatures, SBOMs, what `attach` attached.",
    "doctor": "Tell what is here and what would be used: engines, a registry, a credential.",
    "completion": "Print the completion script for a shell.",
}
"""Every command and what `--help` says of it; the module of its name holds it."""

ORIGINALS = {"cnab-to-oci": "cnab-to-oci's own command line, word for word."}
"""Other tools whose command lines are had as a verb, or when this program is called by their names."""


GROUPS = frozenset({"index", "cnab"})
"""Commands with a second word."""


def group() -> click.Group:
    """The command with all its commands, each of which is imported when it is asked for."""
    import click

    from eci_convert._version import __version__
    from eci_convert.streams import interrupts

    class Commands(click.Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(COMMANDS)

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            if cmd_name not in COMMANDS:
                return None
            return cast(
                "click.Command", getattr(import_module(f"{__name__}.{_FOLDERS.get(cmd_name, cmd_name)}"), cmd_name)
            )

        def invoke(self, ctx: click.Context) -> object:
            try:
                interrupts.check()
                return super().invoke(ctx)
            except KeyboardInterrupt as error:
                if sys.stderr.isatty():  # click then ends the line that begins with ^C
                    raise
                raise click.Abort from error

        def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            with formatter.section("Commands"):
                formatter.write_dl([*COMMANDS.items(), *ORIGINALS.items()])

    commands = Commands(
        help="Turn the parts of a virtual machine (kernel, initrd, disks) into container images, and take them out of "
        "container images again.",
        epilog="`eci-convert COMMAND --help` has examples. A reference is docker://HOST/REPO:TAG, docker-daemon:NAME, "
        "containerd:NAME, oci:DIR[:NAME], oci-archive:FILE, docker-archive:FILE or containers-storage:NAME.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    return click.version_option(__version__, message="%(prog)s %(version)s")(commands)
