"""The request with which another HTTP client, such as curl or a boot loader, gets a blob or manifest."""

from __future__ import annotations

from collections.abc import Mapping

from eci_convert.errors import TransportError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.traits import FileRequest

_FIRST_BYTE = {"Range": "bytes=0-0"}
_EXISTS = (200, 206, 416)
"""Statuses for a blob that exists; 416: an empty one has no first byte."""


def file_request(client: RegistryClient, blob: Descriptor, name: str, *, follow: bool) -> FileRequest:
    """The request for *blob*: a blob, or a manifest that was read before, under its tag or digest *name*.

    The first byte of a blob is requested, so that a missing blob is reported now and the registry can ask for
    credentials. It is a GET, because the signature of a store's URL may be valid for GET alone. *follow*: the URL that
    the registry redirects to, if any, which receives no credentials. Raises NotFoundError, AccessDeniedError,
    TransportError.
    """
    is_manifest = blob.media_type in media_types.DOCUMENTS
    url = client.url(f"manifests/{name}" if is_manifest else f"blobs/{blob.digest}")
    headers = {"Accept": blob.media_type} if is_manifest else {}
    if follow or not is_manifest:
        target = _final_url(client, url, headers if is_manifest else _FIRST_BYTE)
        url = target if follow else url
    authorization = client.authorization(url)
    return FileRequest(url=str(url), headers=headers | ({"Authorization": authorization} if authorization else {}))


def _final_url(client: RegistryClient, url: Url, headers: Mapping[str, str]) -> Url:
    """The URL of the response to a GET of *url*, after redirects."""
    with client.request("GET", url, headers=headers, accept=_EXISTS) as response:
        if response.is_html:
            raise TransportError(f"{url.shown}: HTML response instead of a file (captive portal or proxy?)")
        return response.url
