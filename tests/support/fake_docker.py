"""A Docker engine for tests: its HTTP API over a real socket, its images in memory, a log of what was asked of it.

It has either store: the classic one reads `manifest.json` of what is loaded and knows an image by its config; the other
reads `index.json` and knows it by its manifest. It misbehaves as `instead` says.
"""

from __future__ import annotations

import copy
import fnmatch
import gzip
import io
import json
import posixpath
import socketserver
import ssl
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from eci_convert.oci.digest import Digest
from eci_convert.oci.reference import Reference
from eci_convert.transports.settings import Settings


@dataclass(slots=True)
class AnImage:
    """What the engine keeps of an image."""

    config: bytes
    layers: list[bytes]
    manifest: bytes = b""

    def files(self) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
        """Every file by its path, later layers over earlier ones."""
        found = {}
        for layer in self.layers:
            with tarfile.open(fileobj=io.BytesIO(unwrapped(layer))) as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isreg() else None
                    found[member.name.strip("/")] = (member, content.read() if content else b"")
        return found


@dataclass(slots=True)
class ADocker:
    """An engine. *instead* answers, where it names what is asked ("POST load"), in the place of what would."""

    path: Path
    in_containerd: bool = False
    api: str = "1.51"
    lowest_api: str = "1.24"
    builds_for: str = "amd64"
    images: dict[str, AnImage] = field(default_factory=dict)
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    builds: list[dict[str, bytes]] = field(default_factory=list)
    queries: dict[str, dict[str, str]] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    instead: dict[str, Callable[[Handler], None]] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)
    chunk: int = 32 << 10
    components: tuple[str, ...] = ("Engine",)
    added: dict[str, bytes] = field(default_factory=dict)
    """Files that a container shows in the place of the image's, as Docker's init layer has them."""
    hidden: tuple[str, ...] = ()
    """Directories and files that a container hides: podman's volumes, which are filled when it is started."""
    mounts: tuple[dict[str, str], ...] = ()
    takes_patterns: bool = False
    follows_links: bool = False

    @property
    def environ(self) -> dict[str, str]:
        return {"DOCKER_HOST": f"unix://{self.path}", "HOME": "/nonexistent"}

    def settings(self, **others: Any) -> Settings:
        return Settings(**{"environ": self.environ, "timeout": 5.0, **others})

    def identity(self, image: AnImage) -> str:
        return str(Digest.of(image.manifest if self.in_containerd else image.config))

    def found(self, name: str) -> AnImage | None:
        by_id = {self.identity(image): image for image in self.images.values()}
        digits = name.removeprefix("sha256:")
        begun = [image for identity, image in by_id.items() if identity.removeprefix("sha256:").startswith(digits)]
        known = self.images.get(name) or self.images.get(f"{name}:latest") or by_id.get(name)
        return known or (begun[0] if len(begun) == 1 and digits else None)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server | TcpServer

    @property
    def engine(self) -> ADocker:
        return self.server.engine

    def log_message(self, format: str, *args: Any) -> None: ...

    def address_string(self) -> str:
        return "a client"

    def handle_any(self) -> None:
        self.url = urlsplit(self.path)
        query = parse_qs(self.url.query, errors="surrogateescape")
        self.query = {key: values[0] for key, values in query.items()}
        words = [unquote(word) for word in self.url.path.split("/") if word]
        if words and words[0].startswith("v1."):
            words = words[1:]
        self.words = words
        what = f"{self.command} {words[-1] if words[-1] in _LAST else words[0]}"
        self.engine.log.append(what)
        self.engine.queries[what] = self.query
        self.engine.headers[what] = dict(self.headers)
        if what in self.engine.instead:
            self.engine.instead[what](self)
        else:
            getattr(self, what.lower().replace(" ", "_"), self.nothing)()

    do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - http.server's names

    def nothing(self) -> None:
        self.refuse(404, "page not found")

    # answers

    def say(self, value: Any, status: int = 200) -> None:
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def refuse(self, status: int, message: str) -> None:
        self.say({"message": message}, status)

    def begin(self) -> None:
        self.send_response(200)
        if self.chunks:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    @property
    def chunks(self) -> bool:
        """Whether the client knows of chunks; else a body ends with its connection."""
        return self.request_version != "HTTP/1.0"

    def stream(self, pieces: Iterable[bytes]) -> None:
        self.begin()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self.chunks else piece)
        if self.chunks:
            self.wfile.write(b"0\r\n\r\n")

    def tell(self, *events: Any) -> None:
        self.stream(json.dumps(event).encode() + b"\r\n" for event in events)

    def send(self, content: bytes) -> None:
        size = self.engine.chunk
        self.stream(content[start : start + size] for start in range(0, len(content), size))

    def body(self) -> bytes:
        """What the client sends; ConnectionError if it breaks off."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = []
        while True:
            line = self.rfile.readline()
            if not line:
                raise ConnectionError
            size = int(line, 16)
            found.append(self.rfile.read(size))
            self.rfile.readline()
            if not size:
                return b"".join(found)

    # what is asked

    def get_version(self) -> None:
        self.say(
            {
                "ApiVersion": self.engine.api,
                "MinAPIVersion": self.engine.lowest_api,
                "Version": "28",
                "Os": "linux",
                "Arch": "amd64",
                "Components": [{"Name": name} for name in self.engine.components],
            }
        )

    def get_info(self) -> None:
        kind = ["driver-type", "io.containerd.snapshotter.v1"] if self.engine.in_containerd else ["Backing", "ext4"]
        self.say({"DriverStatus": [kind]})

    def list_images(self) -> None:
        self.say(
            [
                {"Id": identity, "RepoTags": self.tags(identity) or None, "Size": 1000}
                for identity in dict.fromkeys(map(self.engine.identity, self.engine.images.values()))
            ]
        )

    def tags(self, identity: str) -> list[str]:
        """The names of an image; one that is only known by its id has none."""
        named = self.engine.images.items()
        return [name for name, image in named if self.engine.identity(image) == identity and "sha256:" not in name]

    def post_tag(self) -> None:
        image = self.engine.found("/".join(self.words[1:-1]))
        if image is None:
            return self.refuse(404, "No such image")
        name = Reference.parse(f"{self.query['repo']}:{self.query['tag']}").familiar
        self.engine.images[name] = image
        return self.nothing_to_say()

    def nothing_to_say(self) -> None:
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def delete_images(self) -> None:
        name = "/".join(self.words[1:])
        image = self.engine.found(name)
        if image is None:
            return self.refuse(404, f"No such image: {name}")
        identity = self.engine.identity(image)
        own = [one for one in self.engine.images if one in (name, f"{name}:latest")]
        if not own and len(self.tags(identity)) > 1:
            return self.refuse(409, f"conflict: unable to delete {name}: image is referenced in multiple repositories")
        for one in own or [one for one, other in self.engine.images.items() if self.engine.identity(other) == identity]:
            del self.engine.images[one]
        return self.say([{"Untagged": name}])

    def get_images(self) -> None:
        image = self.engine.found("/".join(self.words[1:-1]))
        if image is None:
            return self.refuse(404, f"No such image: {'/'.join(self.words[1:-1])}")
        config = json.loads(image.config)
        return self.say(
            {
                "Id": self.engine.identity(image),
                "RepoTags": self.tags(self.engine.identity(image)),
                "Os": config.get("os", ""),
                "Architecture": config.get("architecture", ""),
                "Variant": config.get("variant", ""),
                "Config": config.get("config", {}),
                "RootFS": {"Type": "layers", "Layers": config["rootfs"]["diff_ids"]},
            }
        )

    def get_get(self) -> None:
        image = self.engine.found(self.query["names"])
        if image is None:
            return self.refuse(404, "No such image")
        return self.send(_saved(image, self.query["names"], self.engine.in_containerd))

    def post_load(self) -> None:
        try:
            body = self.body()
        except (ConnectionError, ValueError):
            self.close_connection = True
            return None
        self.engine.log.append("a whole load")
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            files = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
        name, image = _loaded(files, self.engine.in_containerd)
        layers = zip(_diff_ids(image), map(unwrapped, image.layers), strict=True)
        wrong = [each for each, layer in layers if each != Digest.of(layer)]
        if wrong:
            return self.tell({"errorDetail": {"message": f"invalid diffID for layer: {wrong[0]}"}, "error": "invalid"})
        self.engine.images[name] = image
        return self.tell({"stream": f"Loaded image: {name}\n"})

    def post_create(self) -> None:
        wanted = json.loads(self.body())
        image = self.engine.found(wanted["Image"])
        if image is None:
            return self.refuse(404, f"No such image: {wanted['Image']}")
        platform = self.query.get("platform", "")
        if platform and not json.loads(image.config).get("architecture"):
            return self.refuse(404, f"image was found but does not match the specified platform: wanted {platform}")
        self.engine.containers[self.query["name"]] = wanted
        return self.say({"Id": self.query["name"], "Warnings": []}, 201)

    def get_containers(self) -> None:
        if self.words[1] not in self.engine.containers:
            return self.refuse(404, f"No such container: {self.words[1]}")
        wanted = self.engine.containers[self.words[1]]
        image = self.engine.found(wanted["Image"])
        config = json.loads(image.config) if image else {}
        platform = {key: config[key] for key in ("os", "architecture") if key in config}
        labels = {**config.get("config", {}).get("Labels", {}), **wanted["Labels"]}
        about: dict[str, Any] = {"ImageManifestDescriptor": {"platform": platform}} if self.engine.in_containerd else {}
        about |= {"Mounts": list(self.engine.mounts)} if self.engine.mounts else {}
        return self.say({"Id": self.words[1], "Config": {"Labels": labels}, "Platform": config.get("os"), **about})

    def get_json(self) -> None:
        if self.words == ["images", "json"]:
            return self.list_images()
        if self.words[0] == "images":
            return self.get_images()
        if self.words != ["containers", "json"]:
            return self.get_containers()
        found = [
            {"Id": name, "Labels": each["Labels"], "Created": each.get("Created", 0)}
            for name, each in self.engine.containers.items()
        ]
        return self.say(found)

    def delete_containers(self) -> None:
        self.body()
        if self.engine.containers.pop(self.words[1], None) is None:
            return self.refuse(404, f"No such container: {self.words[1]}")
        self.send_response(204)
        return self.end_headers()

    def get_archive(self) -> None:
        container = self.engine.containers.get(self.words[1])
        if container is None:
            return self.refuse(404, f"No such container: {self.words[1]}")
        image = self.engine.found(container["Image"])
        path = self.query["path"].strip("/")
        files = self.shown(image) if image else {}
        if (real := _real(files, path)) is None:
            return self.refuse(500, f"evalSymlinksInScope: too many links in /{path}")
        path = real
        if self.engine.takes_patterns:
            path = next((name for name in sorted(files) if fnmatch.fnmatchcase(name, path)), path)
        if self.engine.follows_links and path in files and files[path][0].issym():
            return self.followed(files, path)
        if any(name in files and files[name][0].isreg() for name in _parents(path)):
            return self.refuse(500, f"lstat /var/lib/docker/merged/{path}: not a directory")
        chosen = {name: found for name, found in files.items() if name == path or name.startswith(f"{path}/")}
        if not chosen:
            return self.refuse(404, f"Could not find the file {self.query['path']} in container {self.words[1]}")
        return self.send(_archive(chosen, path.rpartition("/")[0]))

    def followed(self, files: dict[str, tuple[tarfile.TarInfo, bytes]], path: str) -> None:
        """What a link at *path* leads to, under the link's name, as podman sends it."""
        target = _real(files, posixpath.join(posixpath.dirname(path), files[path][0].linkname).strip("/"))
        if target not in files:
            return self.refuse(404, "no such file or directory")
        member, content = files[target]
        member = copy.copy(member)
        member.name = path
        return self.send(_archive({path: (member, content)}, path.rpartition("/")[0]))

    def shown(self, image: AnImage) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
        """The files of a container of *image*."""
        hidden = tuple(f"{each.strip('/')}/" for each in self.engine.hidden)
        files = {name: found for name, found in image.files().items() if not f"{name}/".startswith(hidden)}
        for name, content in self.engine.added.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            files[name] = (member, content)
        implied = {parent for each in files for parent in _parents(each)} - files.keys()
        for name in implied:
            directory = tarfile.TarInfo(name)
            directory.type = tarfile.DIRTYPE
            files[name] = (directory, b"")
        return dict(sorted(files.items()))

    def post_build(self) -> None:
        try:
            body = self.body()
        except (ConnectionError, ValueError):
            self.close_connection = True
            return None
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            self.engine.builds.append(
                {one.name: archive.extractfile(one).read() if one.isreg() else b"" for one in archive}  # type: ignore[union-attr]
            )
        config = {"os": "linux", "architecture": self.engine.builds_for, "rootfs": {"type": "layers", "diff_ids": []}}
        image = AnImage(json.dumps(config).encode(), [])
        self.engine.images[self.query["t"]] = image
        identity = {"aux": {"ID": self.engine.identity(image)}}
        return self.tell({"stream": "Step 1/2 : FROM scratch\n"}, identity, {"stream": "Successfully built it\n"})


_LAST = ("version", "info", "json", "get", "load", "create", "archive", "build", "tag")


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens."""

    daemon_threads = True
    request_queue_size = 16

    def __init__(self, engine: ADocker) -> None:
        self.engine = engine
        super().__init__(str(engine.path), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None: ...


@contextmanager
def a_docker(directory: Path, **words: Any) -> Iterator[ADocker]:
    """An engine whose socket is in *directory*, while the block lasts."""
    engine = ADocker(directory / "docker.sock", **words)
    with Server(engine) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield engine
        finally:
            engine.released.set()
            server.shutdown()
            thread.join()


class TcpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens on a port of this computer."""

    daemon_threads = True

    def __init__(self, engine: ADocker, context: ssl.SSLContext | None) -> None:
        self.engine = engine
        super().__init__(("127.0.0.1", 0), Handler)
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: Any, client_address: Any) -> None: ...


@contextmanager
def over_tcp(engine: ADocker, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """The address of a port where *engine* answers too."""
    with TcpServer(engine, context) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def unwrapped(layer: bytes) -> bytes:
    """The archive that *layer* is, of gzip or not; an old engine knows nothing else."""
    return gzip.decompress(layer) if layer.startswith(b"\x1f\x8b") else layer


def _parents(path: str) -> list[str]:
    words = path.split("/")
    return ["/".join(words[:count]) for count in range(1, len(words))]


def _real(files: dict[str, tuple[tarfile.TarInfo, bytes]], path: str) -> str | None:
    """*path* with the links among its parents followed; None if they go round."""
    for _ in range(100):
        link = next((name for name in _parents(path) if name in files and files[name][0].issym()), None)
        if link is None:
            return path
        target = posixpath.join("/", posixpath.dirname(link), files[link][0].linkname)
        path = posixpath.normpath(target + path[len(link) :]).strip("/")
    return None


def _diff_ids(image: AnImage) -> list[Digest]:
    return [Digest.parse(each) for each in json.loads(image.config)["rootfs"]["diff_ids"]]


def _loaded(files: dict[str, bytes], in_containerd: bool) -> tuple[str, AnImage]:
    if not in_containerd:
        [entry] = json.loads(files["manifest.json"])
        [name] = entry["RepoTags"]
        return name, AnImage(files[entry["Config"]], [unwrapped(files[each]) for each in entry["Layers"]])
    by_digest = {str(Digest.of(content)): content for content in files.values()}
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    [entry] = json.loads(files["index.json"])["manifests"]
    manifest = by_digest[entry["digest"]]
    value = json.loads(manifest)
    name = entry["annotations"]["io.containerd.image.name"].removeprefix("docker.io/").removeprefix("library/")
    layers = [by_digest[layer["digest"]] for layer in value["layers"]]
    return name, AnImage(by_digest[value["config"]["digest"]], layers, manifest)


def _saved(image: AnImage, name: str, in_containerd: bool) -> bytes:
    if not in_containerd:
        layers = {f"{number}/layer.tar": layer for number, layer in enumerate(image.layers)}
        entry = {"Config": "config.json", "RepoTags": [name], "Layers": list(layers)}
        return _tar({**layers, "config.json": image.config, "manifest.json": json.dumps([entry]).encode()})
    blobs = {f"blobs/sha256/{Digest.of(blob).hex}": blob for blob in (*image.layers, image.config, image.manifest)}
    for layer, described in zip(image.layers, json.loads(image.manifest)["layers"], strict=True):
        blobs[f"blobs/sha256/{described['digest'].removeprefix('sha256:')}"] = layer  # a spoilt one keeps its name
    described_manifest = {
        "mediaType": json.loads(image.manifest)["mediaType"],
        "digest": str(Digest.of(image.manifest)),
        "size": len(image.manifest),
    }
    index = json.dumps({"schemaVersion": 2, "manifests": [described_manifest]}).encode()
    return _tar({"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', **blobs, "index.json": index})


def _tar(files: dict[str, bytes]) -> bytes:
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return found.getvalue()


def _archive(chosen: dict[str, tuple[tarfile.TarInfo, bytes]], parent: str) -> bytes:
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, (member, content) in chosen.items():
            member.name = name.removeprefix(f"{parent}/") if parent else name
            archive.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return found.getvalue()
