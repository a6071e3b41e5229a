"""Behaviour: the responses of a correct registry (distribution-spec v1.1.1), from memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable
from email.message import Message
from urllib.parse import parse_qs, urlsplit

from eci_convert.testing.faults import Reply

OCI_INDEX = "application/vnd.oci.image.index.v1+json"


class Behaviour:
    """Responses to requests. Attributes are the contents, the users and the limits of the registry."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        """Contents by digest; a test may store wrong ones."""
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        """Media types and contents of manifests, by repository and tag, and by repository and digest."""
        self.uploads: dict[str, bytearray] = {}
        """The data received in open upload sessions."""
        self.users: dict[str, str] = {}
        """Passwords by user name; if there are any, credentials are required."""
        self.bearer = False
        """Whether bearer authentication is used: passwords are exchanged for tokens."""
        self.realm = ""
        """The realm of the token server; "" is this registry."""
        self.token_life = 3600.0
        """Seconds until a token expires."""
        self.tokens: dict[str, float] = {}
        self.identity_tokens: set[str] = set()
        """Refresh tokens that are accepted instead of a password."""
        self.has_ranges = True
        self.has_referrers = True
        self.mounts = True
        """Whether a blob of another repository can be mounted."""
        self.apart = False
        """Whether a repository has only blobs that were pushed or mounted to it; see `places`."""
        self.places: set[tuple[str, str]] = set()
        """Pairs of a repository and the digest of a blob that it has."""
        self.keeps_partial = True
        """Whether the received part of a truncated chunk is kept."""
        self.forgets_cut = False
        """Whether a truncated chunk cancels the upload session, as in distribution 2.8."""
        self.min_chunk = 0
        """The minimum size of a chunk in bytes (`OCI-Chunk-Min-Length`)."""
        self.max_body = 1 << 40
        """The maximum size of a request body in bytes."""
        self.max_patches = 1 << 30
        """The maximum number of chunks of an upload."""
        self.counts: Callable[[list[int]], int] = sum
        """The count of bytes it reports for chunks of these lengths; -1: it reports none."""
        self.chunks: dict[str, list[int]] = {}
        """The lengths of the chunks received in open upload sessions."""
        self.takes_ranges = True
        """Whether a PATCH may have a Content-Range, which some registries refuse."""
        self.refuses: Callable[[str, bytes], bool] = lambda media_type, content: False
        """Which manifests are refused, by media type and content."""
        self.checks_references = False
        """Whether blobs and manifests that a manifest refers to must be in its repository."""
        self.deletes = frozenset({"tags", "digests"})
        """What can be deleted: distribution 2.8 does not delete tags, a strict registry nothing."""
        self.lists_repositories = True
        """Whether it lists its repositories."""
        self.page = 1000
        """The number of names in one page of a list."""
        self.url = ""
        self._count = 0

    def hold(self, content: bytes) -> str:
        """Stores a blob and returns its digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return digest

    def reply(self, method: str, path: str, headers: Message, content: bytes) -> Reply:
        """Carries out a request and returns the response."""
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path in ("/token", "/token/"):
            return self._token(method, headers, parse_qs(parts.query), content)
        if denied := self._denied(headers, parts.path):
            return denied
        if parts.path == "/v2/_catalog" and self.lists_repositories:
            return self._page({}, "repositories", sorted({name for name, _ in self.manifests}), parts.path, query)
        if listed := re.fullmatch(r"/v2/(.+?)/tags/list", parts.path):
            tags = sorted(key for name, key in self.manifests if name == listed[1] and ":" not in key)
            exists = any(name == listed[1] for name, _ in self.manifests)
            return self._page({"name": listed[1]}, "tags", tags, parts.path, query) if exists else Reply.of(404)
        target = re.fullmatch(
            r"/v2/(?P<name>.+?)/(?P<kind>blobs/uploads|blobs|manifests|referrers)/(?P<rest>.*)", parts.path
        )
        if target is None:
            return Reply.of(200 if parts.path == "/v2/" else 404)
        return self._dispatch(method, target, query, headers, content)

    def _page(self, fields: dict[str, str], key: str, names: list[str], path: str, query: dict[str, str]) -> Reply:
        following = [name for name in names if name > query.get("last", "")]
        shown = following[: self.page]
        more = {"Link": f'<{path}?last={shown[-1]}>; rel="next"'} if len(following) > len(shown) else {}
        return Reply.of(
            200, json.dumps({**fields, key: shown or None}).encode(), Content_Type="application/json", **more
        )

    def _delete(self, name: str, rest: str) -> Reply:
        if ("digests" if ":" in rest else "tags") not in self.deletes:
            return Reply.of(405, b'{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}')
        if (name, rest) not in self.manifests:
            return Reply.of(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
        _, content = self.manifests[name, rest]
        for key in [key for key in self.manifests if key[0] == name and (key[1] == rest or ":" in rest)]:
            if self.manifests[key][1] == content:
                del self.manifests[key]
        return Reply.of(202)

    def interrupted(self, method: str, path: str, content: bytes) -> None:
        """Handles a request whose body was truncated: the received part of a chunk may be kept."""
        key = urlsplit(path).path.rpartition("/")[2]
        if content and self.forgets_cut:
            self.uploads.pop(key, None)
        if method == "PATCH" and self.keeps_partial and key in self.uploads:
            self.uploads[key] += content
            self.chunks[key].append(len(content))

    def _dispatch(
        self, method: str, target: re.Match[str], query: dict[str, str], headers: Message, content: bytes
    ) -> Reply:
        name, kind, rest = target["name"], target["kind"], target["rest"]
        if kind == "blobs/uploads":
            return self._upload(method, name, rest, query, headers, content)
        if kind == "manifests" and method == "DELETE":
            return self._delete(name, rest)
        if kind == "manifests":
            return self._manifest(method, name, rest, headers, content)
        if kind == "referrers":
            return self._referrers(name, rest)
        if not self._has(name, rest):
            return Reply.of(404)
        return self._blob(self.blobs[rest], headers.get("Range", ""))

    def _has(self, name: str, digest: str) -> bool:
        return digest in self.blobs and (not self.apart or (name, digest) in self.places)

    def _blob(self, content: bytes, wanted: str) -> Reply:
        byte_range = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
        if byte_range is None or not self.has_ranges:
            return Reply.of(200, content, Content_Type="application/octet-stream")
        first, last = int(byte_range[1]), min(int(byte_range[2] or len(content)), len(content) - 1)
        if first > last:
            return Reply.of(416, Content_Range=f"bytes */{len(content)}")
        return Reply.of(206, content[first : last + 1], Content_Range=f"bytes {first}-{last}/{len(content)}")

    def _manifest(self, method: str, name: str, rest: str, headers: Message, content: bytes) -> Reply:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if method == "PUT":
            media_type = headers.get("Content-Type", "")
            if self.refuses(media_type, content):
                return Reply.of(400, b'{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}')
            if self.checks_references and not self._has_references(name, content):
                body = b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}'
                return Reply.of(400, body)
            for key in {rest, digest}:
                self.manifests[name, key] = (headers.get("Content-Type", ""), content)
            subject = json.loads(content).get("subject") if self.has_referrers else None
            reply = Reply.of(201, Location=f"/v2/{name}/manifests/{rest}", Docker_Content_Digest=digest)
            return reply.with_header("OCI-Subject", subject["digest"]) if subject else reply
        if (name, rest) not in self.manifests:
            return Reply.of(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
        media_type, content = self.manifests[name, rest]
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return Reply.of(200, content, Content_Type=media_type, Docker_Content_Digest=digest)

    def _has_references(self, name: str, content: bytes) -> bool:
        data = json.loads(content)
        blobs = [*filter(None, [data.get("config")]), *(data.get("layers") or [])]
        return all((name, entry["digest"]) in self.manifests for entry in data.get("manifests") or []) and all(
            self._has(name, blob["digest"]) for blob in blobs if not blob.get("urls")
        )

    def _referrers(self, name: str, subject: str) -> Reply:
        if not self.has_referrers:
            return Reply.of(404)
        entries = {}
        for (repository, _), (media_type, content) in self.manifests.items():
            if repository == name and (json.loads(content).get("subject") or {}).get("digest") == subject:
                digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
                entries[digest] = {"mediaType": media_type, "digest": digest, "size": len(content)}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries.values())}
        return Reply.of(200, json.dumps(index).encode(), Content_Type=OCI_INDEX)

    def _upload(
        self, method: str, name: str, key: str, query: dict[str, str], headers: Message, content: bytes
    ) -> Reply:
        if method == "POST":
            if self.mounts and self._has(query.get("from", name), query.get("mount", "")):
                self.places.add((name, query["mount"]))
                return Reply.of(201, Location=f"/v2/{name}/blobs/{query['mount']}")
            self._count += 1
            key = f"session-{self._count}"
            self.uploads[key] = bytearray()
            self.chunks[key] = []
            return self._session(202, name, key)
        if key not in self.uploads:
            return Reply.of(404, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"no such session"}]}')
        if method == "DELETE":
            del self.uploads[key]
            return Reply.of(204)
        if method == "GET":
            return self._session(204, name, key)
        if len(content) > self.max_body:
            return Reply.of(413)
        return (
            self._patch(name, key, headers, content) if method == "PATCH" else self._finish(name, key, query, content)
        )

    def _patch(self, name: str, key: str, headers: Message, content: bytes) -> Reply:
        held = self.uploads[key]
        start = headers.get("Content-Range", f"{len(held)}-").partition("-")[0]
        if int(start) != len(held):
            return self._session(416, name, key)
        if held and self.max_patches == 1:
            return Reply.of(400)
        if "Content-Range" in headers and not self.takes_ranges:
            return Reply.of(416)
        held += content
        self.chunks[key].append(len(content))
        return self._session(202, name, key)

    def _finish(self, name: str, key: str, query: dict[str, str], content: bytes) -> Reply:
        whole = bytes(self.uploads.pop(key) + content)
        algorithm = "sha512" if query.get("digest", "").startswith("sha512:") else "sha256"
        digest = f"{algorithm}:{hashlib.new(algorithm, whole).hexdigest()}"
        if query.get("digest") != digest:
            return Reply.of(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"digest invalid"}]}')
        self.blobs[digest] = whole
        self.places.add((name, digest))
        return Reply.of(201, Location=f"/v2/{name}/blobs/{digest}")

    def _session(self, code: int, name: str, key: str) -> Reply:
        headers: dict[str, str] = {}
        if self.min_chunk:
            headers["OCI-Chunk-Min-Length"] = str(self.min_chunk)
        count = self.counts(self.chunks[key])
        if count >= 0:
            headers["Range"] = f"0-{max(0, count - 1)}"
        reply = Reply.of(code, Location=f"/v2/{name}/blobs/uploads/{key}")
        for header, value in headers.items():
            reply = reply.with_header(header, value)
        return reply

    def _denied(self, headers: Message, path: str) -> Reply | None:
        scheme, _, value = headers.get("Authorization", "").partition(" ")
        if not self.users and not self.bearer:
            return None
        if self.bearer:
            if scheme == "Bearer" and self.tokens.get(value, 0.0) > time.monotonic():
                return None
            name = re.sub(r"^/v2/|/(blobs|manifests|referrers|tags)/.*", "", path)
            realm = self.realm or f"{self.url}/token"
            challenge = f'Bearer realm="{realm}",service="faulty",scope="repository:{name}:pull,push"'
        else:
            if scheme == "Basic" and self._known(value):
                return None
            challenge = 'Basic realm="faulty"'
        return Reply.of(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"log in"}]}', WWW_Authenticate=challenge)

    def _known(self, value: str) -> bool:
        name, _, password = base64.b64decode(value).decode().partition(":")
        return self.users.get(name) == password

    def _token(self, method: str, headers: Message, query: dict[str, list[str]], content: bytes) -> Reply:
        if method == "POST":
            form = parse_qs(content.decode())
            if form.get("refresh_token", [""])[0] not in self.identity_tokens:
                return Reply.of(401)
        elif self.users and not self._known(headers.get("Authorization", "Basic ").partition(" ")[2]):
            return Reply.of(401)
        self._count += 1
        token = f"token-{self._count}"
        self.tokens[token] = time.monotonic() + self.token_life
        return Reply.of(200, json.dumps({"token": token, "expires_in": max(0.001, self.token_life)}).encode())
