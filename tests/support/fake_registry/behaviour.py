"""What a well-behaved registry answers (distribution-spec v1.1.1), in memory; and the faults that spoil an answer."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

OCI_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer to be. *length* None: none is told; *cut*: so many bytes of the body, then *stall* seconds of silence
    and the end of the connection; *dropped*: the end at once; *raw*: these bytes and nothing else, one by one with a
    *pause* in seconds between them, but for the first *at_once*."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    length: int | None = 0
    cut: int | None = None
    stall: float = 0.0
    delay: float = 0.0
    dropped: bool = False
    raw: bytes | None = None
    pause: float = 0.0
    at_once: int = 0

    @classmethod
    def of(cls, status: int, body: bytes = b"", **headers: str) -> Reply:
        pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return cls(status=status, body=body, length=None if status == 204 else len(body), headers=pairs)

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def with_header(self, name: str, value: str | None) -> Reply:
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=kept if value is None else (*kept, (name, value)))


Change = Callable[[Reply], Reply]


class Headers(Protocol):
    """A request's headers, whatever the case of their names."""

    def get(self, name: str, default: str, /) -> str: ...


def status(code: int, body: bytes = b"", **headers: str) -> Change:
    """Another answer instead."""
    return lambda _: Reply.of(code, body, **headers)


def refusal(code: int, word: str, message: str) -> Change:
    """An answer with the error document of the specification."""
    return status(code, json.dumps({"errors": [{"code": word, "message": message}]}).encode())


def cut(after: int, *, stall: float = 0.0) -> Change:
    """The body ends after so many bytes, whatever was promised."""
    return lambda reply: replace(reply, cut=after, stall=stall)


def dropped(_: Reply) -> Reply:
    """The connection ends without an answer."""
    return Reply(dropped=True)


def delayed(seconds: float) -> Change:
    return lambda reply: replace(reply, delay=seconds)


def header(name: str, value: str | None) -> Change:
    """One header is another, or (None) missing."""
    return lambda reply: reply.with_header(name, value)


def body(content: bytes) -> Change:
    """Another body, its length told."""
    return lambda reply: replace(reply, body=content, length=len(content))


def spoiled(reply: Reply) -> Reply:
    """The right number of wrong bytes."""
    return replace(reply, body=bytes(byte ^ 0xFF for byte in reply.body))


def raw(content: bytes) -> Change:
    return lambda _: Reply(raw=content)


def unheard(change: Change) -> Change:
    """The answer is *change*, and what was asked for is not done."""
    change_ = lambda reply: change(reply)  # noqa: E731
    change_.unheard = True  # type: ignore[attr-defined]
    return change_


def spoils_upload(registry: Behaviour) -> Change:
    """One byte of an upload is another afterwards."""

    def change(reply: Reply) -> Reply:
        for held in registry.uploads.values():
            held[0] ^= 1
        return reply

    return change


def refuses_authorization(registry: Behaviour) -> Change:
    """As S3 does: a signature and an Authorization header are one too many."""

    def change(reply: Reply) -> Reply:
        last = registry.requests[-1]
        return Reply.of(400) if last.headers.get("Authorization") else reply

    return change


def echoes_authorization(registry: Behaviour, code: int) -> Change:
    """An error that repeats what it was told."""

    def change(_: Reply) -> Reply:
        told = registry.requests[-1].headers.get("Authorization", "")
        return refusal(code, "BAD", f"what is {told}?")(Reply())

    return change


def trickling(content: bytes, *, pause: float, at_once: int = 0) -> Change:
    """The bytes of an answer, one by one."""
    return lambda _: Reply(raw=content, pause=pause, at_once=at_once)


class Behaviour:
    """The answers. Attributes say what is held, who may enter, and which limits the host has."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.users: dict[str, str] = {}  # not empty: a password is asked for
        self.bearer = False  # ... by way of a token
        self.realm = ""  # where tokens are said to be had: here
        self.token_life = 3600.0
        self.tokens: dict[str, float] = {}
        self.identity_tokens: set[str] = set()
        self.has_ranges = True
        self.has_referrers = True
        self.mounts = True
        self.apart = False  # a repository shows what was sent or mounted to itself alone
        self.places: set[tuple[str, str]] = set()  # ... which is in here: repositories and digests
        self.keeps_partial = True
        self.forgets_cut = False  # as distribution 2.8 does: an upload that was cut within a chunk is called off
        self.min_chunk = 0
        self.max_body = 1 << 40
        self.max_patches = 1 << 30
        self.counts: Callable[[list[int]], int] = sum  # what it tells of chunks of these lengths; -1: nothing
        self.chunks: dict[str, list[int]] = {}
        self.takes_ranges = True  # False: no PATCH with Content-Range, as some do
        self.refuses: Callable[[str, bytes], bool] = lambda media_type, content: False  # which manifests
        self.deletes = frozenset({"tags", "digests"})  # what it deletes: distribution 2.8 no tags, a strict one nothing
        self.lists_repositories = True
        self.page = 1000  # names in a page of a list
        self.checks_references = False  # what a manifest lists must be in its repository
        self.url = ""
        self.requests: list[Any] = []
        self._count = 0

    def hold(self, content: bytes) -> str:
        """Puts a blob here; its digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return digest

    def reply(self, method: str, path: str, headers: Headers, content: bytes) -> Reply:
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path in ("/token", "/token/"):
            return self._token(method, headers, parse_qs(parts.query), content)
        if denied := self._denied(headers, parts.path):
            return denied
        if parts.path == "/v2/_catalog" and self.lists_repositories:
            return self._page("repositories", sorted({name for name, _ in self.manifests}), parts.path, query)
        if listed := re.fullmatch(r"/v2/(.+?)/tags/list", parts.path):
            tags = sorted(key for name, key in self.manifests if name == listed[1] and ":" not in key)
            known = any(name == listed[1] for name, _ in self.manifests)
            return self._page("tags", tags, parts.path, query) if known else Reply.of(404)
        found = re.fullmatch(
            r"/v2/(?P<name>.+?)/(?P<kind>blobs/uploads|blobs|manifests|referrers|tags)/(?P<rest>.*)", parts.path
        )
        if found is None:
            return Reply.of(200 if parts.path == "/v2/" else 404)
        return self._routed(method, found, query, headers, content)

    def _page(self, key: str, names: list[str], path: str, query: dict[str, str]) -> Reply:
        following = [name for name in names if name > query.get("last", "")]
        shown = following[: self.page]
        more = {"Link": f'<{path}?last={shown[-1]}>; rel="next"'} if len(following) > len(shown) else {}
        return Reply.of(200, json.dumps({key: shown or None}).encode(), Content_Type="application/json", **more)

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
        """A request whose body was cut: what came of a chunk may be kept."""
        key = urlsplit(path).path.rpartition("/")[2]
        if content and self.forgets_cut:
            self.uploads.pop(key, None)
        if method == "PATCH" and self.keeps_partial and key in self.uploads:
            self.uploads[key] += content
            self.chunks[key].append(len(content))

    def _routed(
        self, method: str, found: re.Match[str], query: dict[str, str], headers: Headers, content: bytes
    ) -> Reply:
        name, kind, rest = found["name"], found["kind"], found["rest"]
        if kind == "blobs/uploads":
            return self._upload(method, name, rest, query, headers, content)
        if kind == "manifests" and method == "DELETE":
            return self._delete(name, rest)
        if kind == "manifests":
            return self._manifest(method, name, rest, headers, content)
        if kind == "tags":
            tags = sorted(tag for repository, tag in self.manifests if repository == name and ":" not in tag)
            return Reply.of(200, json.dumps({"name": name, "tags": tags}).encode()) if tags else Reply.of(404)
        if kind == "referrers":
            return self._referrers(name, rest)
        if not self._has(name, rest):
            return Reply.of(404)
        return self._blob(self.blobs[rest], headers.get("Range", ""))

    def _has(self, name: str, digest: str) -> bool:
        return digest in self.blobs and (not self.apart or (name, digest) in self.places)

    def _blob(self, content: bytes, wanted: str) -> Reply:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
        if asked is None or not self.has_ranges:
            return Reply.of(200, content, Content_Type="application/octet-stream")
        first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if first > last:
            return Reply.of(416, Content_Range=f"bytes */{len(content)}")
        return Reply.of(206, content[first : last + 1], Content_Range=f"bytes {first}-{last}/{len(content)}")

    def _manifest(self, method: str, name: str, rest: str, headers: Headers, content: bytes) -> Reply:
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
            more = {"OCI_Subject": subject["digest"]} if subject else {}
            return Reply.of(201, Location=f"/v2/{name}/manifests/{rest}", Docker_Content_Digest=digest, **more)
        if (name, rest) not in self.manifests:
            return Reply.of(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
        media_type, found = self.manifests[name, rest]
        digest = f"sha256:{hashlib.sha256(found).hexdigest()}"
        return Reply.of(200, found, Content_Type=media_type, Docker_Content_Digest=digest)

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
        self, method: str, name: str, key: str, query: dict[str, str], headers: Headers, content: bytes
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

    def _patch(self, name: str, key: str, headers: Headers, content: bytes) -> Reply:
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
        digest = f"sha256:{hashlib.sha256(whole).hexdigest()}"
        if query.get("digest") != digest:
            return Reply.of(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"digest invalid"}]}')
        self.blobs[digest] = whole
        self.places.add((name, digest))
        return Reply.of(201, Location=f"/v2/{name}/blobs/{digest}")

    def _session(self, code: int, name: str, key: str) -> Reply:
        more = {"OCI_Chunk_Min_Length": str(self.min_chunk)} if self.min_chunk else {}
        count = self.counts(self.chunks[key])
        if count >= 0:
            more["Range"] = f"0-{max(0, count - 1)}"
        return Reply.of(code, Location=f"/v2/{name}/blobs/uploads/{key}", **more)

    def _denied(self, headers: Headers, path: str) -> Reply | None:
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

    def _token(self, method: str, headers: Headers, query: dict[str, list[str]], content: bytes) -> Reply:
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
