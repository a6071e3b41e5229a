"""The VirtualMachines that we print, held against what KubeVirt takes.

The rules here are those of KubeVirt v1.9.0, as its CRD and its admission webhooks have them, for what we use of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from eci_convert.errors import CannotHoldError
from eci_convert.model import Artifact, DiskType, Part, Role, RootfsFile
from eci_convert.oci.platform import Platform
from eci_convert.operations.inspect import Inspection, inspect
from eci_convert.operations.kubevirt_machine import virtual_machine
from tests.support.machines import TERMS, part, written

NAME = "registry.example/vm/machine:1"
FIELDS: Mapping[str, Any] = {
    "apiVersion": "kubevirt.io/v1",
    "kind": "VirtualMachine",
    "metadata": {"name": re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")},
    "spec": {
        "runStrategy": "Always",
        "template": {
            "metadata": {"labels": {"kubevirt.io/domain": re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")}},
            "spec": {
                "architecture?": re.compile("amd64|arm64|s390x"),
                "domain": {
                    "devices": {
                        "disks": [
                            {
                                "name": re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"),
                                "disk?": {"bus": re.compile("virtio|scsi")},
                                "cdrom?": {"bus": re.compile("sata|scsi")},
                            }
                        ],
                        "interfaces": [{"name": re.compile("default"), "masquerade": {}}],
                    },
                    "memory": {"guest": re.compile("[0-9]+[KMGT]i")},
                    "firmware?": {
                        "kernelBoot": {
                            "container": {
                                "image": NAME,
                                "kernelPath": re.compile(r"(/(?!\.{0,2}/)[^/]+)+"),
                                "initrdPath?": re.compile(r"(/(?!\.{0,2}/)[^/]+)+"),
                            },
                            "kernelArgs?": re.compile(".+"),
                        }
                    },
                },
                "networks": [{"name": "default", "pod": {}}],
                "volumes": [
                    {
                        "name": re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"),
                        "containerDisk": {"image": NAME, "path?": re.compile(r"(/(?!\.{0,2}/)[^/]+)+")},
                    }
                ],
            },
        },
    },
}
"""The fields that a machine may have; those with "?" may be missing."""

KERNEL = part(Role.KERNEL, "", b"k")
INITRD = part(Role.INITRD, "", b"i")
ROOT = part(Role.ROOT_DISK, "root.raw", b"r", DiskType.RAW)
ISO = part(Role.ROOT_DISK, "live.iso", b"r", DiskType.ISO)
MORE = part(Role.EXTRA_DISK, "d.qcow2", b"d", DiskType.QCOW2, 0)
LAST = part(Role.EXTRA_DISK, "e.iso", b"e", DiskType.ISO, 12)


def inspection(artifact: Artifact, format: str = "legacy", architecture: str = "amd64", **more: Any) -> Inspection:
    terms = replace(TERMS, platform=Platform(os="linux", architecture=architecture), **more)
    return inspect(written(artifact, format, terms)[0])


def differences(value: Any, rule: Any, where: str = "") -> list[str]:
    """Where *value* is not as *rule* has it."""
    if isinstance(rule, Mapping):
        known = {key.removesuffix("?"): inner for key, inner in rule.items()}
        wrong = [f"{where}.{key} is unknown" for key in value if key not in known]
        wrong += [f"{where}.{key} is missing" for key in rule if not key.endswith("?") and key not in value]
        return wrong + [line for key in value if key in known for line in
                        differences(value[key], known[key], f"{where}.{key}")]  # fmt: skip
    if isinstance(rule, list):
        return [line for item in value for line in differences(item, rule[0], f"{where}[]")]
    matches = rule.fullmatch(value) if isinstance(rule, re.Pattern) else value == rule
    return [] if matches else [f"{where} is {value!r}"]


@pytest.mark.parametrize("architecture", ["amd64", "arm64", "s390x"])
@pytest.mark.parametrize(
    ("format", "parts", "also"),
    [
        ("containerdisk", (ROOT,), ()),
        ("containerdisk", (KERNEL, INITRD, ISO), ()),
        ("legacy", (KERNEL,), ()),
        ("legacy", (KERNEL, INITRD, ROOT, MORE, LAST), ()),
        ("legacy", (KERNEL, ISO, MORE), ("containerdisk",)),
        ("unikraft", (KERNEL, INITRD), ()),
    ],
)  # fmt: skip
def test_kubevirt_knows_every_field(
    format: str,
    parts: tuple[Part, ...],
    also: tuple[str, ...],
    architecture: str,
) -> None:
    artifact = Artifact(parts=parts, command_line="console=ttyS0 é 😀")
    machine = virtual_machine(inspection(artifact, format, architecture, extra_dialects=also), NAME)

    spec = machine["spec"]["template"]["spec"]

    assert differences(machine, FIELDS) == []
    assert [disk["name"] for disk in spec["domain"]["devices"]["disks"]] == [each["name"] for each in spec["volumes"]]
    assert len({each["name"] for each in spec["volumes"]}) == len(spec["volumes"])
    assert spec["architecture"] == architecture


def test_the_rules_find_what_they_are_for() -> None:
    machine = virtual_machine(inspection(Artifact(parts=(KERNEL, ROOT))), NAME)
    spec = machine["spec"]["template"]["spec"]
    spec["domain"]["firmware"]["kernelBoot"]["container"] = {"kernel": "/x", "kernelPath": "/a/../x", "image": NAME}
    spec["volumes"][0]["containerDisk"]["path"] = "disk.raw"

    assert differences(machine, FIELDS) == [
        ".spec.template.spec.domain.firmware.kernelBoot.container.kernel is unknown",
        ".spec.template.spec.domain.firmware.kernelBoot.container.kernelPath is '/a/../x'",
        ".spec.template.spec.volumes[].containerDisk.path is 'disk.raw'",
    ]


@pytest.mark.parametrize(("architecture", "bus"), [("amd64", "sata"), ("arm64", "scsi"), ("s390x", "scsi")])
def test_an_iso_is_a_drive_that_the_architecture_has(architecture: str, bus: str) -> None:
    machine = virtual_machine(inspection(Artifact(parts=(ISO,)), architecture=architecture), NAME)

    [disk] = machine["spec"]["template"]["spec"]["domain"]["devices"]["disks"]

    assert disk == {"name": "rootdisk", "cdrom": {"bus": bus}}


@pytest.mark.parametrize("architecture", ["arm", "riscv64", "ppc64le"])
def test_an_architecture_that_kubevirt_refuses_is_refused(architecture: str) -> None:
    with pytest.raises(CannotHoldError, match=f"amd64, arm64, s390x.*{architecture}"):
        virtual_machine(inspection(Artifact(parts=(ROOT,)), architecture=architecture), NAME)


def test_an_image_that_does_not_say_its_architecture_is_for_the_clusters() -> None:
    found = inspection(Artifact(parts=(ISO,)))
    for platform in (None, Platform(os="linux", architecture="")):
        machine = virtual_machine(replace(found, image=replace(found.image, platform=platform)), NAME)

        assert differences(machine, FIELDS) == []
        assert "architecture" not in machine["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("kernel", "initrd", "reason"),
    [
        ("/a/boot", "/b/boot", "one directory"),
        ("/a/../vmlinuz", "/initrd", "'..'"),
        ("/vmlinuz", "/../initrd", "'..'"),
    ],
)
def test_paths_that_kubevirt_cannot_use_are_refused(kernel: str, initrd: str, reason: str) -> None:
    parts = (
        part(Role.KERNEL, "", RootfsFile(path=kernel)),
        part(Role.INITRD, "", RootfsFile(path=initrd)),
    )
    found = replace(inspection(Artifact(parts=(ROOT,))), artifact=Artifact(parts=parts))

    with pytest.raises(CannotHoldError, match=re.escape(reason)):
        virtual_machine(found, NAME)
