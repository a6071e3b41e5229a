"""What refers to other images, noted on its way into a place that must be told to find and to keep it there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from eci_convert.errors import EciError
from eci_convert.oci import media_types
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Descriptor, parse
from eci_convert.transports.layout.index import referrer


class Referrers:
    """The documents that have a subject, of those that went by."""

    def __init__(self) -> None:
        self._found: dict[Digest, tuple[Descriptor, Digest]] = {}

    def noting(self, media_type: str, chunks: Iterable[bytes], digest: Digest | None) -> Iterable[bytes]:
        """*chunks*, of a blob with the *digest* that is promised, if one is."""
        if media_type not in media_types.DOCUMENTS:
            return chunks
        content = b"".join(chunks)
        itself = Descriptor(media_type=media_type, digest=digest or Digest.of(content), size=len(content))
        with suppress(EciError):  # what is no manifest refers to nothing
            subject = parse(content, media_type).subject
            entry = referrer(itself, content, subject.digest) if subject else None
            if subject and entry:
                self._found[itself.digest] = entry, subject.digest
        return (content,)

    def beside(self, root: Digest) -> Iterator[tuple[Descriptor, Digest]]:
        """What came and refers to something, with what it refers to; without *root* itself."""
        return (entry for digest, entry in self._found.items() if digest != root)
