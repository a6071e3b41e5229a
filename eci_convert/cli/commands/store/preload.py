"""`eci-convert preload`: writes images into a containers-storage tree for the disk of a machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from eci_convert.cli import options
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.options import CommonOptions, command, option
from eci_convert.cli.output import info, json, line
from eci_convert.cli.param_types import PathParam
from eci_convert.errors import UsageError
from eci_convert.files.atomic import atomic_write
from eci_convert.files.errors import local_errors
from eci_convert.files.output_paths import check_writable, inherited_descriptor
from eci_convert.files.temp_files import is_directory
from eci_convert.operations.store.preload import DEFAULT_PREFIX, DRIVERS, PreloadedImage, stored_name, temporary_store
from eci_convert.operations.store.preload import preload as preload_images
from eci_convert.operations.store.store_tar import store_archive
from eci_convert.options import source_date_epoch
from eci_convert.transports import image_name
from eci_convert.transports.containers_storage.store import open_store

_EXAMPLES = """
eci-convert preload docker://registry.example/apps/web:1.2 docker-daemon:db:14 -o images.tar
eci-convert preload oci:layout:edge/app:1 --root /srv/images
eci-convert preload docker://registry.example/apps/web:1.2 -o - | tar -C rootfs -x --xattrs --xattrs-include='*'
"""


@command(
    click.argument("references", metavar="REF...", nargs=-1, required=True),
    option("-o", "--output", type=PathParam(str), metavar="FILE",
           help="A tar archive of the tree; - is standard output."),
    option("--root", type=PathParam(directory=True), metavar="DIR",
           help="The tree itself, in DIR, which may have others."),
    option("--driver", type=click.Choice(DRIVERS), default="overlay", show_default=True,
           help="How layers are kept."),
    option("--prefix", metavar="PATH",
           help=f"Where the tree is in the archive or in DIR.  [archive: {DEFAULT_PREFIX}]"),
    options.dry_run,
    examples=_EXAMPLES,
)  # fmt: skip
def preload(
    call: CommonOptions,
    *,
    references: tuple[str, ...],
    output: str | None,
    root: Path | None,
    driver: str,
    prefix: str | None,
    dry_run: bool,
) -> None:
    """Write the container images REF... into a containers-storage tree, which podman and CRI-O use as it is or as an
    additional image store. Neither root nor podman nor skopeo is needed.

    The same images make the same archive. In it files belong to whom the image says; in DIR, unless root writes them,
    to the user. REF has a transport, such as docker://HOST/REPO:TAG or oci:DIR:NAME:TAG.
    """
    if (output is None) == (root is None):
        raise UsageError("either -o FILE or --root DIR says where the images go")
    to_stdout = output is not None and inherited_descriptor(output) == 1
    if to_stdout and call.json:
        raise UsageError("--json and the archive both want standard output")
    check_connections(call, reads=references, accepted={"concurrency"})
    images = [(reference, stored_name(reference, image_name(reference))) for reference in references]
    words: dict[str, Any] = {"driver": driver, "platform": call.platform, "dry_run": dry_run}
    if root is not None:
        done = preload_images(images, root / _relative(prefix or ""), call.reading, **words)
        return _report(call, done, str(root), to_stdout=False, dry_run=dry_run)
    where = _relative(DEFAULT_PREFIX if prefix is None else prefix)
    if not _is_stream(str(output)) and is_directory(Path(str(output)).parent):
        check_writable(str(output))  # before images are read, which may take long
    with temporary_store(call.settings) as folder:
        done = preload_images(images, folder, call.reading, **words)
        if not dry_run:
            store = open_store(folder, driver, call.settings.timeout)
            _write(str(output), store_archive(store, where, source_date_epoch(call.settings.environ)))
    return _report(call, done, str(output), to_stdout=to_stdout, dry_run=dry_run)


def _relative(prefix: str) -> str:
    """*prefix* as a path below the top. Raises UsageError."""
    parts = [part for part in prefix.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UsageError(f"{prefix!r} leads out of the tree")
    return "/".join(parts)


def _write(path: str, chunks: Iterable[bytes]) -> None:
    number = inherited_descriptor(path)
    if number is None and _is_stream(path):
        with local_errors(path):
            number = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    if number is None:
        with atomic_write(path) as file:
            file.writelines(chunks)
        return
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            with local_errors(path):
                view = view[os.write(number, view) :]


def _is_stream(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _report(
    call: CommonOptions, images: tuple[PreloadedImage, ...], where: str, *, to_stdout: bool, dry_run: bool
) -> None:
    more = {"dry_run": True} if dry_run else {}
    if call.json:
        return json(
            [
                {"reference": image.reference, "name": image.name, "id": image.id, "digest": str(image.digest)} | more
                for image in images
            ]
        )
    for image in images if call.quiet else ():
        if not to_stdout:
            line(image.id)
    for image in images if not call.quiet else ():
        sentence = f"{'Would preload' if dry_run else 'Preloaded'} {image.name} into {where} with id {image.id}"
        info(sentence) if to_stdout else line(sentence)
    return None
