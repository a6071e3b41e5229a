"""Where the programs are that `install_engines` brings: Debian 12's on the machine, unstable's in a folder."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass, fields
from pathlib import Path

PREFIX = Path(os.environ.get("ECI_CONVERT_ENGINES", "/opt/eci-convert-engines"))
UNSTABLE = PREFIX / "unstable/usr"
REQUIRED = os.environ.get("ECI_CONVERT_REQUIRE_ENGINES") == "1"

# Debian's folders before any other: a machine may have another docker in /usr/local/bin. Then the one of this Python,
# where eci-convert is installed.
DEBIAN_PATH = f"/usr/sbin:/usr/bin:/sbin:/bin:{Path(sys.executable).parent}"
UNSTABLE_PATH = f"{UNSTABLE}/sbin:{UNSTABLE}/bin:{DEBIAN_PATH}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Paths of programs that need no daemon, as strings for `subprocess`."""

    skopeo: str = "/usr/bin/skopeo"
    umoci: str = "/usr/bin/umoci"
    umoci_new: str = str(UNSTABLE / "bin/umoci")
    oras: str = str(UNSTABLE / "bin/oras")
    crane: str = str(UNSTABLE / "bin/crane")
    cosign: str = str(UNSTABLE / "bin/cosign")
    buildah: str = "/usr/bin/buildah"
    podman: str = "/usr/bin/podman"
    ctr: str = "/usr/bin/ctr"
    ctr_new: str = str(UNSTABLE / "bin/ctr")
    docker: str = "/usr/bin/docker"
    docker_new: str = str(UNSTABLE / "bin/docker")
    buildx: str = str(UNSTABLE / "libexec/docker/cli-plugins/docker-buildx")
    docker_registry: str = "/usr/bin/docker-registry"
    htpasswd: str = "/usr/bin/htpasswd"
    qemu: str = "/usr/bin/qemu-system-x86_64"
    qemu_img: str = "/usr/bin/qemu-img"
    mke2fs: str = "/sbin/mke2fs"
    busybox: str = "/bin/busybox"
    kernel: str = str(PREFIX / "kernel/vmlinuz")


def possible_here() -> str | None:
    """Why `install_engines` could not have worked on this machine, or None if it could."""
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    if (release.get("ID"), release.get("VERSION_ID"), platform.machine()) != ("debian", "12", "x86_64"):
        return f"the engines are for Debian 12 on x86_64, not {release.get('PRETTY_NAME', platform.system())}"
    if os.geteuid() != 0:
        return "the engines need root"
    return None


def missing() -> str | None:
    """Why the engines cannot be used, or None if everything is there."""
    if reason := possible_here():
        return reason
    programs = Programs()
    absent = [field.name for field in fields(programs) if not Path(getattr(programs, field.name)).exists()]
    return f"not installed: {', '.join(absent)} (run integration/install_engines)" if absent else None
