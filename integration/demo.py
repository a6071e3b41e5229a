"""See it work: `make demo`. A machine goes into an image and comes out again, and each file is compared, byte for byte.

The image is written to a folder as an OCI layout, so this needs no engine. Where a Docker engine answers (or can be
started: see `install_engines`), the machine goes through it too; where there is qemu, what came out is booted.
"""

from __future__ import annotations

import contextlib
import filecmp
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from integration.engines import programs
from integration.engines.docker import docker28
from integration.support import boot_vm

_NAME = "eci-convert-demo:v1"


def main(folder: Path) -> int:
    shutil.rmtree(folder, ignore_errors=True)
    _say(f"A small machine, made in {folder}/parts")
    parts = boot_vm.make(folder / "parts")
    for path in (parts.kernel, parts.initrd, parts.root, parts.disk):
        print(f"  {_sizes(path)}  {path}")
    kernel_and_initrd = ("--kernel", parts.kernel, "--initrd", parts.initrd)
    flags = (*kernel_and_initrd, "--root", f"{parts.root}:raw", "--disk", parts.disk)

    _say("Into an image, in an OCI layout")
    reference = f"oci:{folder}/layout:v1"
    _run("build", *flags, "--to", reference)
    _run("inspect", reference)

    _say("Out again, and compared")
    _run("extract", reference, folder / "from-layout")
    same = compare(parts, folder / "from-layout")

    with _docker_engine() as env:
        if env is not None:
            _say("The same through a Docker engine")
            _run("build", *flags, "-t", _NAME, env=env)
            _run("extract", _NAME, folder / "from-docker", env=env)
            same &= compare(parts, folder / "from-docker")
            _remove_image(env)

    if parts.boots and Path(programs.Programs().qemu).exists():
        _say("What came out boots (qemu)")
        said = boot_vm.boot(folder / "from-layout/kernel", folder / "from-layout/initrd")
        same &= boot_vm.GREETING in said
        print(*(f"  {line}" for line in said.splitlines()[-4:]), sep="\n")

    _say("Every byte is the same." if same else "NOT the same: see above.")
    return 0 if same else 1


def compare(parts: boot_vm.Machine, out: Path) -> bool:
    pairs = {
        out / "kernel": parts.kernel,
        out / "initrd": parts.initrd,
        out / f"disk-root-{parts.root.name}": parts.root,
        out / f"disk-0-{parts.disk.name}": parts.disk,
    }
    same = True
    for mine, given in pairs.items():
        equal = filecmp.cmp(mine, given, shallow=False)
        print(f"  {_sizes(mine)}  {mine}  {'is the same as' if equal else 'IS NOT THE SAME AS'}  {given}")
        same &= equal
    return same


def _sizes(path: Path) -> str:
    """How long a file is, and how much of it is not holes."""
    return f"{path.stat().st_size:>10} bytes ({path.stat().st_blocks * 512:>10} on disk)"


def _run(*arguments: str | Path, env: dict[str, str] | None = None) -> None:
    """Show a command as a person would type it, run it, and end the demo if it fails."""
    words = [str(word) for word in arguments]
    print(f"$ eci-convert {shlex.join(words)}", flush=True)
    program = Path(sys.executable).parent / "eci-convert"
    status = subprocess.run([str(program), *words], env=env, check=False).returncode
    if status != 0:
        sys.exit(f"demo: eci-convert ended with exit code {status}")


@contextlib.contextmanager
def _docker_engine() -> Iterator[dict[str, str] | None]:
    """An environment in which a Docker engine answers, the computer's or one of the demo's own, or None."""
    import docker

    try:
        with contextlib.closing(docker.from_env(timeout=5)) as client:
            client.ping()
        answers = True
    except docker.errors.DockerException:
        answers = False
    if answers:
        yield dict(os.environ)
    elif programs.missing() is None:
        with docker28() as engine:
            yield engine.env
    else:
        print("\n(no Docker engine answers, so that part is left out)")
        yield None


def _remove_image(env: dict[str, str]) -> None:
    import docker

    with contextlib.closing(docker.from_env(environment=env)) as client:
        client.images.remove(_NAME)


def _say(heading: str) -> None:
    print(f"\n== {heading}", flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
