"""ECI's media types and layer annotations (docs/specs/eci.md)."""

from __future__ import annotations

from eci_convert.model import DiskType, Role

ROLE = "org.lfedge.eci.role"
MEDIA_TYPE = "org.lfedge.eci.mediaType"


CONFIG_TYPE = "application/vnd.lfedge.eci.config.v1+json"
TYPES = {
    Role.KERNEL: "application/vnd.lfedge.eci.kernel.layer.v1+kernel",
    Role.INITRD: "application/vnd.lfedge.eci.initrd.layer.v1+cpio",
    Role.CONFIG: CONFIG_TYPE,
    Role.OTHER: "application/vnd.lfedge.eci.layer.v1",
}
DISKS = {disk: f"application/vnd.lfedge.disk.layer.v1+{disk}" for disk in DiskType}
