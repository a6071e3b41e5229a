"""A blob on its way into a registry (distribution-spec v1.1.1, "Pushing blobs")."""

from __future__ import annotations

from collections.abc import Iterable

from eci_convert.errors import DigestMismatch, SizeMismatch
from eci_convert.oci.digest import Digest
from eci_convert.transports.registry.client import PUSH, Client
from eci_convert.transports.registry.url import Url
from eci_convert.transports.registry.wire import Request

_CHUNK = 8 * 1024 * 1024


class Upload:
    def __init__(self, client: Client, media_type: str, digest: Digest | None, size: int | None) -> None:
        self._client = client
        self._digest = digest
        self._size = size

    def send(self, chunks: Iterable[bytes]) -> tuple[Digest, int]:
        hasher = (self._digest or Digest.of(b"")).hasher()
        algorithm = self._digest.algorithm if self._digest else "sha256"
        location, count, block, held = self._opened(), 0, list[bytes](), 0
        for chunk in chunks:
            hasher.update(chunk)
            block.append(chunk)
            held += len(chunk)
            if held >= _CHUNK:
                location = self._patched(location, tuple(block), count, held)
                count += held
                block, held = [], 0
        if held:
            location = self._patched(location, tuple(block), count, held)
            count += held
        digest = Digest(algorithm, hasher.hexdigest())
        if self._size not in (None, count):
            raise SizeMismatch(self._size or 0, count)
        if self._digest not in (None, digest):
            raise DigestMismatch(self._digest, digest)
        with self._client.once(
            Request(method="PUT", url=location.with_query("digest", str(digest))), accept=(201, 202, 204), scope=PUSH
        ):
            return digest, count

    def mounted(self, repository: str) -> bool:
        url = self._client.url("blobs/uploads/").with_query("mount", str(self._digest)).with_query("from", repository)
        with self._client.ask("POST", url, accept=(201, 202), scope=PUSH) as answer:
            return answer.status == 201

    def _opened(self) -> Url:
        url = self._client.url("blobs/uploads/")
        with self._client.ask("POST", url, accept=(202,), scope=PUSH) as answer:
            return url.joined(answer.header("Location"))

    def _patched(self, location: Url, block: tuple[bytes, ...], start: int, length: int) -> Url:
        headers = {"Content-Type": "application/octet-stream", "Content-Range": f"{start}-{start + length - 1}"}
        request = Request(method="PATCH", url=location, headers=headers, body=block, length=length)
        with self._client.once(request, accept=(202, 201, 204), scope=PUSH) as answer:
            return location.joined(answer.header("Location")) if answer.header("Location") else location
