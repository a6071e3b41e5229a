"""What another HTTP client has to send for a file of a registry: curl, or a boot loader."""

from __future__ import annotations

from collections.abc import Mapping

from eci_convert.errors import TransportError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.transports.registry import manifests
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.traits import FileRequest

_FIRST_BYTE = {"Range": "bytes=0-0"}
_THERE = (200, 206, 416)
"""416: a blob without a first byte."""


def file_request(client: RegistryClient, blob: Descriptor, name: str, *, follow: bool) -> FileRequest:
    """The request for *blob*, a blob or, under its tag or digest *name*, a manifest that was read before.

    The blob is asked for, by its first byte, so that one that is missing is missed now and the registry says whether
    it wants a login. *follow*: the address that the registry redirects to, if it does, which is told no login of ours.
    GET and no HEAD is sent: a store's signature may be for one of them alone. Raises NotFoundError, AccessDeniedError,
    TransportError.
    """
    is_manifest = blob.media_type in media_types.DOCUMENTS
    url = client.url(f"manifests/{name}" if is_manifest else f"blobs/{blob.digest}")
    headers = {"Accept": blob.media_type} if is_manifest else {}
    if follow or not is_manifest:
        target = _answering_url(client, url, headers if is_manifest else _FIRST_BYTE)
        url = target if follow else url
    authorization = client.authorization(url)
    return FileRequest(url=str(url), headers=headers | ({"Authorization": authorization} if authorization else {}))


def _answering_url(client: RegistryClient, url: Url, headers: Mapping[str, str]) -> Url:
    with client.request("GET", url, headers=headers, accept=_THERE) as answer:
        if manifests.is_html(answer):
            raise TransportError(f"{url.shown}: a web page where a file was expected")
        return answer.url
