"""Referrers: manifests with a `subject`, collected while an image is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from eci_convert.errors import EciError, LimitExceededError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.json_fields import MAX_DOCUMENT
from eci_convert.oci.manifest import Manifest, parse_manifest


class ReferrerIndex:
    """Collects the manifests with a subject among the blobs written."""

    def __init__(self) -> None:
        self._referrers: dict[Digest, tuple[Descriptor, Digest]] = {}

    def record(self, media_type: str, chunks: Iterable[bytes], digest: Digest | None) -> Iterable[bytes]:
        """*chunks* unchanged, of a blob with the expected *digest*, if known.

        Raises LimitExceededError for a manifest that is too long to be one: it is held in memory.
        """
        if media_type not in media_types.DOCUMENTS:
            return chunks
        content = _small(chunks)
        itself = Descriptor(media_type=media_type, digest=digest or Digest.of(content), size=len(content))
        with suppress(EciError):  # not a manifest, so it has no subject
            subject = parse_manifest(content, media_type).subject
            entry = referrer(itself, content, subject.digest) if subject else None
            if subject and entry:
                self._referrers[itself.digest] = entry, subject.digest
        return (content,)

    def others(self, root: Digest | None) -> Iterator[tuple[Descriptor, Digest]]:
        """The collected referrers and their subjects, without *root* itself, if given."""
        return (entry for digest, entry in self._referrers.items() if digest != root)


def _small(chunks: Iterable[bytes]) -> bytes:
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > MAX_DOCUMENT:
            raise LimitExceededError(f"a manifest is longer than {MAX_DOCUMENT} bytes")
    return bytes(content)


def referrer(entry: Descriptor, content: bytes, subject: Digest) -> Descriptor | None:
    """*entry*, whose manifest is *content*, as a registry lists it among the referrers of *subject*; None if it does
    not refer to it (distribution-spec v1.1.1, "Listing Referrers")."""
    try:
        document = parse_manifest(content, entry.media_type)
    except EciError:  # other kinds of artifacts have no subject that we support
        return None
    if not document.subject or document.subject.digest != subject:
        return None
    config = document.config.media_type if isinstance(document, Manifest) else ""
    return replace(
        entry,
        media_type=document.media_type,
        artifact_type=document.artifact_type or config,
        annotations=document.annotations,
        data=None,
    )
