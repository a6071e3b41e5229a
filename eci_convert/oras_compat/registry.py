"""oras-py's `Registry` on top of our transport: the same methods and auth back ends, with verification and retries.

    import eci_convert
    registry = eci_convert.Registry()
    registry.push("localhost:5000/machine:1", files=["kernel"])

Whoever uses `oras.provider.Registry` can use this in its place. What is replaced, and why (oras 0.2.43): names are read
as Docker reads them; credentials are found, and kept to their host, as everywhere here; every request has time limits
and is tried again where that helps; blobs stream in both directions, are verified, and go on after a cut; manifests
keep the media type that they say they have; files are written below the directory that was named, whole or not at all.

The rest of eci-convert does not import this module, and so not oras: that would take longer than a whole `inspect`.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import oras.auth
import oras.container
import oras.defaults
import oras.provider
import requests

from eci_convert.errors import LimitExceededError, TransportError
from eci_convert.files.atomic import atomic_write
from eci_convert.files.safe_open import read_chunks
from eci_convert.oci import json_fields
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.reference import HUB, Reference, registry_name
from eci_convert.oras_compat import files, responses
from eci_convert.oras_compat.names import OrasName
from eci_convert.oras_compat.responses import empty_response, requests_response
from eci_convert.streams.hashing import verified
from eci_convert.streams.repeatable import RepeatableStream
from eci_convert.transports.credentials import lookup
from eci_convert.transports.credentials.config_files import Credential
from eci_convert.transports.registry import manifests
from eci_convert.transports.registry.client import PULL, PUSH, RegistryClient
from eci_convert.transports.registry.http.connection import Request
from eci_convert.transports.registry.http.links import next_page
from eci_convert.transports.registry.http.retry import RETRYABLE_STATUSES, TransientError
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.registry.pull.download import Download
from eci_convert.transports.registry.sink import RegistrySink
from eci_convert.transports.settings import Settings

_MAX_PAGES = 1000
_EVERY_STATUS = tuple(status for status in range(200, 600) if status not in RETRYABLE_STATUSES)


class Registry(oras.provider.Registry):  # type: ignore[misc] # oras has no types
    """What `oras.provider.Registry` is. *settings* say what its own parameters cannot."""

    def __init__(
        self,
        hostname: str | None = None,
        insecure: bool = False,
        tls_verify: bool | str = True,
        auth_backend: str = "token",
        *,
        settings: Settings | None = None,
    ) -> None:
        super().__init__(hostname, insecure, tls_verify, auth_backend)
        given = settings or Settings(environ=os.environ)
        self._settings = replace(
            given,
            plain_http=given.plain_http or insecure,
            insecure=given.insecure or tls_verify is False,
            ca_file=tls_verify if isinstance(tls_verify, str) else given.ca_file,
        )
        self._clients: dict[tuple[str, str], RegistryClient] = {}
        self._login_host: str | None = None
        self._first_host: str | None = None
        self.auth.load_configs = self._load_configs

    # Names and credentials

    def get_container(self, name: str | OrasName) -> OrasName:
        """The name that *name* spells; *hostname* is in front of one that names no host. Raises UsageError."""
        if isinstance(name, oras.container.Container):
            return name if isinstance(name, OrasName) else OrasName(str(name))
        container = OrasName(name)
        if self.hostname and container.reference.host == HUB and not name.startswith(f"{HUB}/"):
            return OrasName(f"{self.hostname}/{name}")
        return container

    def login(self, username: str, password: str, *args: Any, hostname: str | None = None, **more: Any) -> Any:
        """As in oras, but the password is for one host: *hostname*, else that of the registry, else the first one
        contacted."""
        self._login_host, self._first_host = hostname, None
        self._clients.clear()
        return super().login(username, password, *args, hostname=hostname, **more)

    def _load_configs(self, _container: Any, configs: Sequence[str] | None = None) -> None:
        """oras reads files of credentials here; we do when a registry asks for one."""
        if configs:
            self._settings = replace(self._settings, authfile=configs[0])
            self._clients.clear()

    def _credential(self, reference: Reference) -> Credential | None:
        """The login given to the auth back end, else that of the user's files."""
        if self._is_login_host(reference.host):
            if token := getattr(self.auth, "token", None):
                return Credential(registry_token=token, origin="set_token_auth")
            if basic := getattr(self.auth, "_basic_auth", None):
                username, _, password = base64.b64decode(basic).decode(errors="surrogateescape").partition(":")
                return Credential(username=username, password=password, origin="set_basic_auth")
            return lookup.credential_for(reference, self._settings)
        return lookup.credential_for(reference, replace(self._settings, username="", password=""))

    def _is_login_host(self, host: str) -> bool:
        """Whether the login given is for *host*: the host of `login`, else *hostname*, else the first one contacted."""
        ours = self._login_host or self.hostname or self._first_host
        if ours is None:
            ours = self._first_host = host
        return registry_name(ours.rpartition("://")[2].rstrip("/")) == registry_name(host)

    @property
    def _logs_in(self) -> bool:
        """Whether our way of logging in does what the auth back end does."""
        return type(self.auth) in (oras.auth.TokenAuth, oras.auth.BasicAuth)

    def _client(self, reference: Reference) -> RegistryClient:
        key = (reference.host, reference.repository)
        if key not in self._clients:
            self._clients[key] = RegistryClient(
                reference, self._settings, partial(self._credential, reference), logs_in=self._logs_in
            )
        return self._clients[key]

    # Requests

    def do_request(
        self,
        url: str,
        method: str = "GET",
        data: Mapping[str, Any] | bytes | None = None,
        headers: dict[str, str] | None = None,
        json: dict[str, Any] | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """The response of whatever status. Raises TransportError where there is none, also after trying again."""
        target = Url.parse(url)
        client = self._client(files.reference_of(target))
        if (target.host, target.port) == (client.base.host, client.base.port) or target.host == client.base.host:
            target = client.base.at(target.target)
        content, kind = files.request_body(data, json)
        kept = {name: value for name, value in (headers or {}).items() if name.lower() not in files.OURS}
        request = Request(
            method=method,
            url=target,
            headers=kind | kept,
            body=None if content is None else (content,),
            length=None if content is None else len(content),
        )
        scope = PULL if method in ("GET", "HEAD") else PUSH
        budget = client.retry_budget()
        while True:
            try:
                return self._send_authenticated(client, request, scope, stream=stream)
            except TransientError as error:
                budget.wait_or_raise(error)

    def _send_authenticated(
        self, client: RegistryClient, request: Request, scope: str, *, stream: bool
    ) -> requests.Response:
        """The response; a 401 goes to an auth back end that is neither oras's token nor basic one (ECR's)."""
        response = requests_response(client.send_once(request, accept=_EVERY_STATUS, scope=scope), stream=stream)
        ours = self._login_host or self.hostname
        stranger = ours is not None and not self._is_login_host(client.reference.host)
        elsewhere = stranger or Url.parse(response.url).origin != client.base.origin
        if response.status_code != 401 or self._logs_in or elsewhere:
            return response
        headers, changed = self.auth.authenticate_request(response, dict(request.headers))
        if not changed:
            return response
        again = replace(request, headers=headers)
        return requests_response(client.send_once(again, accept=_EVERY_STATUS, scope=scope), stream=stream)

    def _do_paginated_request(self, url: str, callable: Callable[[requests.Response], bool]) -> None:
        """As in oras; but a list goes on on its own server, and ends."""
        for _ in range(_MAX_PAGES):
            response = self.do_request(url, "GET", headers=self.headers)
            self._check_200_response(response)
            if not callable(response):
                return
            following = next_page(Url.parse(response.url), response.headers.get("Link", ""))
            if following is None:
                return
            url = str(following)
        raise LimitExceededError(f"the list has more than {_MAX_PAGES} pages", where=url)

    # Blobs

    def get_blob(
        self, container: str | OrasName, digest: str, stream: bool = False, head: bool = False
    ) -> requests.Response:
        """The response with a blob. Its bytes are verified as they are read, at the latest at their end."""
        name, expected = self.get_container(container), Digest.parse(digest)
        url = f"{self.prefix}://{name.get_blob_url(digest)}"
        response = self.do_request(url, "HEAD", headers=self.headers)
        if head:
            return response
        size = responses.content_length(response, expected)
        if response.status_code != 200 or size is None:
            unread = self.do_request(url, "GET", headers=self.headers, stream=True)
            return responses.verified_response(unread, expected, stream=stream)
        descriptor = Descriptor(media_type="", digest=expected, size=size)
        download = Download(self._client(name.reference), descriptor, 0)
        return responses.download_response(
            response, download, lambda chunks: verified(chunks, descriptor.digest, descriptor.size), stream=stream
        )

    def download_blob(self, container: str | OrasName, digest: str, outfile: str) -> str:
        """Writes a verified blob to *outfile*, which is replaced when the last byte is known to be good."""
        os.makedirs(os.path.dirname(outfile) or ".", exist_ok=True)
        with self.get_blob(container, digest, stream=True) as response:
            self._check_200_response(response)
            with atomic_write(outfile) as file:
                for chunk in response.raw.stream(decode_content=False):
                    file.write(chunk)
        return outfile

    def upload_blob(
        self, blob: str, container: str | OrasName, layer: dict[str, Any], do_chunked: bool = False, chunk_size: int = 0
    ) -> requests.Response:
        """Sends a file, unless the registry has it. How it is cut is for the registry's host to say."""
        name = self.get_container(container)
        media_type = layer.get("mediaType") or oras.defaults.default_blob_media_type
        sink = RegistrySink(name.reference, self._settings, self._client(name.reference))
        digest = Digest.parse(layer["digest"]) if "digest" in layer else None
        sent = sink.put(media_type, RepeatableStream(lambda: read_chunks(blob)), digest=digest, size=layer.get("size"))
        return empty_response(201, self._url(name, f"blobs/{sent.digest}"), {"Docker-Content-Digest": str(sent.digest)})

    def put_upload(self, blob: str, container: str | OrasName, layer: dict[str, Any]) -> requests.Response:
        return self.upload_blob(blob, container, layer)

    def chunked_upload(
        self, blob: str, container: str | OrasName, layer: dict[str, Any], chunk_size: int = 0
    ) -> requests.Response:
        return self.upload_blob(blob, container, layer)

    # Manifests

    def upload_manifest(self, manifest: Mapping[str, Any], container: str | OrasName) -> requests.Response:
        """Sends *manifest* under the media type that it says it has. Raises ManifestRefusedError, TransportError."""
        name = self.get_container(container)
        content = json.dumps(manifest, separators=(",", ":")).encode()
        media_type = manifest.get("mediaType") or oras.defaults.default_manifest_media_type
        digest = Digest.of(content)
        where = str(name.reference.digest or name.tag)
        manifests.put(self._client(name.reference), where, media_type, content)
        return empty_response(201, self._url(name, f"manifests/{where}"), {"Docker-Content-Digest": str(digest)})

    def get_manifest(
        self,
        container: str | OrasName,
        allowed_media_type: Sequence[str] | None = None,
        validation_schema: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The manifest, verified and of a media type that is allowed. Raises TransportError, FormatError."""
        name = self.get_container(container)
        client = self._client(name.reference)
        descriptor, content = manifests.get(client, str(name.reference.digest or name.tag))
        if allowed_media_type and descriptor.media_type not in allowed_media_type:
            raise TransportError(f"{name}: it is {descriptor.media_type!r}, which is not allowed")
        manifest = dict(json_fields.document(content, str(name)))
        if validation_schema:
            oras.provider.jsonschema.validate(manifest, schema=validation_schema)
        return manifest

    def pull(
        self,
        target: str,
        config_path: str | None = None,
        allowed_media_type: Sequence[str] | None = None,
        overwrite: bool = True,
        outdir: str | None = None,
    ) -> list[str]:
        """Writes the layers of *target* below *outdir*; of an index, those of the image for this computer.

        Raises FormatError for titles that lead out of *outdir*, and what `download_blob` raises.
        """
        name = self.get_container(target)
        self._load_configs(name, [config_path] if config_path else None)
        manifest = files.image_manifest(self, name, allowed_media_type)
        return files.write_layers(self, name, manifest, outdir, overwrite=overwrite)

    def _url(self, name: OrasName, path: str) -> str:
        return str(self._client(name.reference).url(path))
