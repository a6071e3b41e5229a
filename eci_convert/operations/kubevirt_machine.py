"""The VirtualMachine of KubeVirt that boots an image: its disks as containerDisks, its kernel by kernelBoot.

KubeVirt v1 API: `volumes[].containerDisk` with `path` where the disk is not the only file in /disk;
`domain.firmware.kernelBoot.container` with the paths of kernel and initrd in the image, and `kernelArgs`. What its
admission webhooks refuse (v1.9.0, `pkg/virt-api/webhooks`) is refused here, where the reason can be told.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any, Final

from eci_convert.dialects.image_config import container_platform
from eci_convert.dialects.oci_artifacts.kubevirt import disk_device
from eci_convert.errors import CannotHoldError, MissingPartError
from eci_convert.model import DISK_ROLES, DiskType, Member, Part, Role, RootfsFile
from eci_convert.operations.inspect import Inspection

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+", re.ASCII)
_BOOTED_TYPES: Final = (DiskType.RAW, DiskType.QCOW2, DiskType.ISO, None)
_ARCHITECTURES: Final = ("amd64", "arm64", "s390x")
_HINT = "hint: copy --format containerdisk (one disk) or --format legacy makes an image that KubeVirt boots"


def virtual_machine(inspection: Inspection, image_name: str) -> dict[str, Any]:
    """The definition of a machine that boots the image that *inspection* is about, pulled as *image_name*.

    Raises MissingPartError for an image without parts that boot, CannotHoldError for parts that KubeVirt cannot use.
    """
    artifact, name = inspection.artifact, _machine_name(image_name)
    disks = [part for part in artifact.parts if part.role in DISK_ROLES]
    kernel, initrd = artifact.part(Role.KERNEL), artifact.part(Role.INITRD)
    if not disks and not kernel:
        error = MissingPartError(f"{inspection.reference} has neither a disk nor a kernel that a machine could boot")
        error.add_note("hint: --dialect containerdisk reads an image without marks as a containerDisk")
        raise error
    architecture = _architecture(inspection)
    domain: dict[str, Any] = {
        "devices": {
            "disks": [{"name": _volume(part), **disk_device(part.disk_type, architecture)} for part in disks],
            "interfaces": [{"name": "default", "masquerade": {}}],
        },
        "memory": {"guest": "1Gi"},
    }
    if kernel:
        domain["firmware"] = {"kernelBoot": _kernel_boot(kernel, initrd, image_name, artifact.command_line)}
    spec: dict[str, Any] = {
        "domain": domain,
        "networks": [{"name": "default", "pod": {}}],
        "volumes": [{"name": _volume(part), "containerDisk": _container_disk(part, image_name)} for part in disks],
    }
    if architecture:
        spec = {"architecture": architecture, **spec}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": name},
        "spec": {
            "runStrategy": "Always",
            "template": {"metadata": {"labels": {"kubevirt.io/domain": name}}, "spec": spec},
        },
    }


def _architecture(inspection: Inspection) -> str:
    """What the image is for, in Go's words; "" where it does not say: KubeVirt then takes the cluster's own."""
    platform = inspection.image.platform
    architecture = container_platform(platform).architecture if platform else ""
    if architecture and architecture not in _ARCHITECTURES:
        runs = ", ".join(_ARCHITECTURES)
        raise CannotHoldError(f"KubeVirt runs machines of {runs}, and {inspection.reference} is for {architecture}")
    return architecture


def _kernel_boot(kernel: Part, initrd: Part | None, image_name: str, arguments: str | None) -> dict[str, Any]:
    container = {"image": image_name, "kernelPath": _path(kernel)}
    if initrd:
        container["initrdPath"] = _path(initrd)
        if PurePosixPath(container["kernelPath"]).name == PurePosixPath(container["initrdPath"]).name:
            raise CannotHoldError(
                f"KubeVirt puts kernel and initrd into one directory, and both are called {container['kernelPath']!r}"
            )
    return {"container": container, **({"kernelArgs": arguments} if arguments else {})}


def _container_disk(part: Part, image_name: str) -> dict[str, Any]:
    if part.disk_type not in _BOOTED_TYPES:
        error = CannotHoldError(f"KubeVirt boots raw, qcow2 and iso disks, and {part.name!r} is {part.disk_type}")
        error.add_note("hint: qemu-img convert makes one of another type")
        raise error
    path = _path(part)
    return {"image": image_name} if path.endswith("/") else {"image": image_name, "path": path}


def _volume(part: Part) -> str:
    return "rootdisk" if part.index is None else f"disk-{part.index}"


def _path(part: Part) -> str:
    """Where *part* is in the image's filesystem. Raises CannotHoldError for one that is a blob of its own."""
    match part.locator:
        case RootfsFile(path=path):
            found = path if path.startswith("/") or path.endswith("/") else f"/{path}"
        case Member(path=path) if path:
            found = f"/{path}"
        case _:
            error = CannotHoldError(f"KubeVirt boots files of container images, and {part.name!r} is a blob")
            error.add_note(_HINT)
            raise error
    if ".." in found.split("/"):
        raise CannotHoldError(f"KubeVirt takes no path with '..', and {part.name!r} is at {found!r}")
    return found


def _machine_name(image_name: str) -> str:
    last = image_name.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return _NOT_IN_A_NAME.sub("-", last.lower()).strip("-")[:63].strip("-") or "machine"
