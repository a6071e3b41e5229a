"""Refusals that whoever writes an image can answer: by another manifest, or by sending a blob again."""

from __future__ import annotations

from eci_convert.errors import TransportError


class ManifestRefused(TransportError):
    """A registry was reached, lets this user write, and will not have this manifest.

    *status* is the HTTP status, *code* the registry's word for it (`MANIFEST_INVALID`; "" where it said none),
    *reason* its sentence. A packer may try a manifest that strict registries know.
    """

    def __init__(self, message: str, *, status: int, code: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.reason = reason


class UploadLost(TransportError):
    """An upload cannot go on where it was, and its bytes have gone by: send the blob again from its first byte."""
