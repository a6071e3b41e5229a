"""What cnab-to-oci made of bundles, as it ran (tests/fixtures/cnab/README.md)."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eci_convert.testing import FaultyRegistry

FOLDER = Path(__file__).parents[1] / "fixtures" / "cnab"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One recorded case: the bundle that was given, the calls, and the documents that came of them."""

    name: str
    bundle: bytes
    commands: list[dict[str, Any]]
    documents: dict[str, Any]

    def command(self, verb: str) -> dict[str, Any] | None:
        """The recorded call of *verb*, None where there was none."""
        return next((call for call in self.commands if call["argv"][1] == verb), None)

    def text(self, name: str) -> bytes:
        """The recorded document *name*."""
        return str(self.documents[name]).encode()


@cache
def case(name: str) -> Case:
    data = json.loads((FOLDER / f"{name}.json").read_text())
    documents = {key: value for key, value in data.items() if key not in ("case", "bundle.json", "commands")}
    return Case(name=name, bundle=data["bundle.json"].encode(), commands=data["commands"], documents=documents)


def cases() -> list[str]:
    """The names of all recorded cases."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


HOST = "127.0.0.1:5711"


def layout() -> dict[str, bytes]:
    """The files of the OCI layout with the images that the recorded bundles name."""
    with tarfile.open(FOLDER / "source-images.tar.gz") as archive:
        members = [member for member in archive if member.isfile()]
        return {member.name.partition("/")[2]: archive.extractfile(member).read() for member in members}  # type: ignore[union-attr]


def hold_source_images(registry: FaultyRegistry) -> None:
    """Puts those images into *registry*, byte for byte, under `src/…`."""
    files = layout()

    def blob(digest: str) -> bytes:
        return files[f"blobs/{digest.replace(':', '/')}"]

    def hold(entry: dict[str, Any], repository: str, name: str) -> None:
        content = blob(entry["digest"])
        data = json.loads(content)
        for key in (name, entry["digest"]):
            registry.manifests[repository, key] = (entry["mediaType"], content)
        for child in data.get("manifests", []):
            hold(child, repository, child["digest"])
        for part in [*filter(None, [data.get("config")]), *data.get("layers", [])]:
            registry.places.add((repository, registry.hold(blob(part["digest"]))))

    for entry in json.loads(files["index.json"])["manifests"]:
        repository, _, tag = entry["annotations"]["org.opencontainers.image.ref.name"].rpartition(":")
        hold(entry, repository, tag)


def moved(text: bytes, hosts: dict[str, str]) -> bytes:
    """A recorded document or line as it is where the registries are at other addresses: *hosts*, old to new."""
    for old, new in hosts.items():
        text = text.replace(old.encode(), new.encode())
    return text


def moved_documents(recorded: Case, hosts: dict[str, str]) -> dict[str, bytes]:
    """The recorded config, its manifest and the index, with digests and sizes of what changed with the addresses."""
    documents = {"config.json": recorded.text("config.json")}
    documents["config.json"] = moved(documents["config.json"], hosts)
    replaced = (recorded.text("config.json"), documents["config.json"])
    for name in ("config-manifest.json", "index.json"):
        documents[name] = _naming(recorded.text(name), *replaced)
        replaced = (recorded.text(name), documents[name])
    return documents


def _naming(text: bytes, old: bytes, new: bytes) -> bytes:
    """*text*, a document that lists *old*, listing *new* instead, whatever the order of its keys."""
    (digest, size), (new_digest, new_size) = [
        (f"sha256:{hashlib.sha256(content).hexdigest()}".encode(), len(content)) for content in (old, new)
    ]
    found = text.replace(b'%s","size":%d' % (digest, size), b'%s","size":%d' % (new_digest, new_size))
    docker = b'"size": %d,\n      "digest": "%s"'
    found = found.replace(docker % (size, digest), docker % (new_size, new_digest))
    assert new_digest in found
    return found
