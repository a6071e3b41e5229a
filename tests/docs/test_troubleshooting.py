"""The messages in docs/howto/troubleshooting.md are those that are printed, with the exit code under which they stand.

A command is run for each of them. The few that need a broken computer are looked for in the code.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import eci_convert
from eci_convert.cli import exit_codes
from eci_convert.testing import FaultyRegistry, Reply
from tests.support.command_line import Run
from tests.support.fake_registry.server import a_registry
from tests.support.shell_pages import DOCS

PAGE = (DOCS / "howto/troubleshooting.md").read_text()
BUILD = ("build", "--kernel", "vmlinuz")
QCOW2 = b"QFI\xfb\0\0\0\x03".ljust(600, b"\0")

COMMANDS: dict[str, Sequence[str]] = {
    "No such option …": ("inspect", "--jsonn", "x"),
    "No such command …": ("inspekt",),
    "… is not a valid image reference": ("inspect", "foo:bar:baz"),
    "… has no transport: begin it with one of …": ("copy", "oci:layout:machine", "machine:2"),
    "repository name must be lowercase": ("push", "HOST/Edge/machine:1", "--kernel", "vmlinuz"),
    "an image needs at least one part": ("build", "--to", "oci:new"),
    "… could be any type of disk": ("build", "--root", "vmlinuz", "--to", "oci:new"),
    "… has no effect": (*BUILD, "--format", "artifacts", "--compression", "zstd", "--to", "oci:new"),
    "… is given twice": ("extract", "oci:layout:machine", "--kernel", "a", "--kernel", "b"),
    "--username needs a password": ("inspect", "docker://HOST/edge/machine:1", "--username", "me"),
    "-t puts the image into the Docker engine and --to anywhere else": (*BUILD, "-t", "x", "--to", "oci:new"),
    "standard output can take one part": ("extract", "oci:layout:machine", "--kernel", "-", "--root", "-"),
    "… is not a media type": ("attach", "oci:layout:machine", "vmlinuz", "--artifact-type", "sbom"),
    "SOURCE_DATE_EPOCH is …: it must be a number of seconds since 1970": (*BUILD, "--to", "oci:new"),
    "cannot connect to the Docker engine": ("inspect", "machine:1"),
    "containerd's socket …": ("inspect", "containerd:machine", "--address", "/none.sock"),
    "connection refused": ("inspect", "docker://localhost:1/edge/machine:1", "--retries", "0"),
    "cannot resolve host …: no such host": ("inspect", "docker://no-such.invalid/machine:1", "--retries", "0"),
    "the proxy …: connection refused": ("inspect", "docker://registry.invalid/machine:1", "--retries", "0"),
    "certificate verify failed": ("inspect", "docker://TLS/edge/machine:1"),
    "connection reset by peer": ("inspect", "docker://TLS/edge/machine:1", "--plain-http", "--retries", "0"),
    "… 429": ("inspect", "docker://HOST/edge/machine:1"),
    "… 503": ("inspect", "docker://HOST/edge/machine:1", "--retries", "1"),
    "gave up after … attempts": ("inspect", "docker://HOST/edge/machine:1", "--retries", "1"),
    "… 413": ("push", "HOST/edge/machine:2", "--kernel", "disk.qcow2"),
    "manifest refused": ("push", "HOST/edge/machine:2", "--kernel", "vmlinuz"),
    "not found: manifest unknown": ("inspect", "docker://HOST/edge/machine:7"),
    "no image …": ("inspect", "oci:layout:other"),
    "not an OCI image layout": ("inspect", "oci:none"),
    "no such file: …": ("build", "--kernel", "none", "--to", "oci:new"),
    "unauthorized: access denied to an anonymous user": ("push", "HOST/edge/machine:2", "--kernel", "vmlinuz"),
    "unauthorized: access denied with the credential of …": (
        "push", "HOST/edge/machine:2", "--kernel", "vmlinuz", "--username", "me",
    ),
    "… is blocked by …": ("inspect", "docker://untrusted.example/machine:1"),
    "… size mismatch: expected … bytes, got …": ("pull", "HOST/edge/machine:1"),
    "… digest mismatch: expected …, got …": ("pull", "HOST/edge/machine:1"),
    "… is larger than the limit of … bytes": ("extract", "oci:layout:machine", "out", "--max-size", "1"),
    "not a JSON document": ("inspect", "oci:broken"),
    "not a tar archive, or corrupt": ("inspect", "docker-archive:vmlinuz"),
    "… has no initrd: it has kernel": ("extract", "oci:layout:machine", "--initrd", "initrd"),
    "… is not in the image": ("extract", "oci:layout:machine", "--path", "/none=none"),
    "the image declares no parts": ("extract", "oci:bare:image", "out"),
    "… has no image for …: it has …": ("extract", "oci:layout:machine", "out", "--platform", "linux/s390x"),
    "holds container images alone": (*BUILD, "--format", "artifacts", "--to", "docker-archive:new.tar:machine:1"),
    "cannot hold an image with a layer of type …": ("copy", "oci:plain:machine", "docker-archive:new.tar:machine:1"),
    "… has no place for …": (*BUILD, "--format", "kubevirt", "--to", "oci:new"),
    "… is declared as …, but its content is …": ("build", "--root", "disk.qcow2:raw", "--to", "oci:new"),
    "… is compressed (gzip): no machine boots from it as it is": ("build", "--root", "disk.gz", "--to", "oci:new"),
    "files cannot be attached to images there": (
        "attach", "docker-archive:new.tar", "vmlinuz", "--artifact-type", "build/log",
    ),
    "… images: a name is required": ("inspect", "oci:many"),
    "is a directory": ("extract", "oci:layout:machine", "--kernel", "layout"),
    "Not a directory": ("extract", "oci:layout:machine", "vmlinuz"),
    "not valid TOML": ("inspect", "docker://untrusted.example/machine:1"),
}  # fmt: skip
IN_THE_CODE = {"No space left on device"}
"""What the operating system says: the code lets it through."""
FAULTS = {
    "… 429": ("GET", "manifests", Reply.of(429, Retry_After="3600")),
    "… 503": ("GET", "manifests", Reply.of(503)),
    "gave up after … attempts": ("GET", "manifests", Reply.of(503)),
    "… 413": ("POST|PATCH|PUT", "uploads", Reply.of(413)),
    "manifest refused": ("PUT", "manifests", Reply.of(405)),
    "… size mismatch: expected … bytes, got …": ("GET", "blobs", Reply.of(200, b"short")),
}
VARIABLES = {
    "SOURCE_DATE_EPOCH is …: it must be a number of seconds since 1970": ("SOURCE_DATE_EPOCH", "today"),
    "unauthorized: access denied with the credential of …": ("ECI_CONVERT_PASSWORD", "wrong"),
    "cannot connect to the Docker engine": ("DOCKER_HOST", "unix:///none.sock"),
    "the proxy …: connection refused": ("HTTPS_PROXY", "http://127.0.0.1:1"),
    "… is blocked by …": ("CONTAINERS_REGISTRIES_CONF", "registries.conf"),
    "not valid TOML": ("CONTAINERS_REGISTRIES_CONF", "no-toml.conf"),
}


def messages() -> Iterator[tuple[int, str]]:
    """Every message in a table of the page, with the exit code of its section."""
    for section in PAGE.split("\n## ")[1:]:
        code = int(section.partition(":")[0])
        for cell in re.findall(r"^\| (`.*?) \| ", section, re.MULTILINE):
            yield from ((code, message) for message in re.findall(r"`([^`]+)`", cell))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Path:
    """A directory with parts, layouts and archives of all kinds."""
    monkeypatch.chdir(tmp_path)
    Path("vmlinuz").write_bytes(b"kernel" * 100)
    Path("disk.raw").write_bytes(bytes(1024))
    Path("disk.qcow2").write_bytes(QCOW2)
    Path("disk.gz").write_bytes(b"\x1f\x8b\x08" + bytes(600))
    Path("registries.conf").write_text('[[registry]]\nlocation = "untrusted.example"\nblocked = true\n')
    Path("no-toml.conf").write_text("[[registry]")
    run(*BUILD, "--to", "oci:layout:machine", "--platform", "linux/amd64")
    run(*BUILD, "--to", "oci:plain:machine", "--format", "artifacts")
    run(*BUILD, "--to", "oci:many:one")
    run("build", "--kernel", "disk.raw", "--to", "oci:many:two")
    Path("broken").mkdir()
    Path("broken/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    Path("broken/index.json").write_text("{")
    nameless("bare")
    return tmp_path


def nameless(directory: str) -> None:
    """Write a layout with an image that says of no file what it is."""
    from eci_convert.oci.digest import Digest

    def blob(content: bytes, media_type: str, **more: object) -> dict[str, object]:
        digest = Digest.of(content)
        path = Path(directory, "blobs/sha256", str(digest).partition(":")[2])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return {"mediaType": media_type, "digest": str(digest), "size": len(content), **more}

    config = blob(b"{}", "application/vnd.oci.empty.v1+json")
    layer = blob(b"notes", "text/plain", annotations={"org.opencontainers.image.title": "notes.txt"})
    fields = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config}
    manifest = json.dumps({**fields, "artifactType": "text/plain", "layers": [layer]}).encode()
    name = {"org.opencontainers.image.ref.name": "image"}
    entry = blob(manifest, str(fields["mediaType"]), annotations=name)
    Path(directory, "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    Path(directory, "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Run(capfd)


def no_such_host(*_: object, **__: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def prepare(message: str, registry: FaultyRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the registry and the environment be such that *message* is the answer."""
    if message in VARIABLES:
        monkeypatch.setenv(*VARIABLES[message])
    if message.startswith("cannot resolve"):  # without a network the answer is that nobody knows for now
        monkeypatch.setattr(socket, "getaddrinfo", no_such_host)
    if message in FAULTS:
        method, path, reply = FAULTS[message]
        registry.misbehave(method, path, lambda _: reply, times=99)
    if message.startswith("unauthorized"):
        registry.users["me"] = "secret"
    if message.startswith("… digest mismatch"):
        registry.misbehave("GET", "blobs", lambda reply: replace(reply, body=bytes(len(reply.body))), times=99)


@pytest.mark.parametrize(("code", "message"), [each for each in messages() if each[1] not in IN_THE_CODE])
def test_a_message_is_printed_with_its_exit_code(
    code: int, message: str, place: Path, registry: FaultyRegistry, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("push", f"{registry.host}/edge/machine:1", "--kernel", "vmlinuz")
    prepare(message, registry, monkeypatch)

    with a_registry(cert="server") as over_tls:
        hosts = {"HOST": registry.host, "TLS": over_tls.host}
        words = [re.sub("HOST|TLS", lambda name: hosts[name[0]], word) for word in COMMANDS[message]]
        exit_code, out, err = run.anyhow(*words)

    pattern = ".*".join(re.escape(part.strip()) for part in message.split("…"))
    assert re.search(pattern, err), err
    assert exit_code == code, f"{err}{out}"


def test_every_exit_code_has_its_section() -> None:
    codes = [int(number) for number in re.findall(r"^## (\d+):", PAGE, re.MULTILINE)]

    assert codes == sorted({*exit_codes.MEANINGS, 10} - {0})


def test_no_command_is_run_for_a_message_that_is_gone() -> None:
    assert {message for _, message in messages()} == {*COMMANDS, *IN_THE_CODE}


def test_what_the_system_says_of_a_full_disk_is_passed_on() -> None:
    source = "".join(path.read_text() for path in Path(eci_convert.__file__).parent.rglob("*.py"))

    assert re.search(r"\bstrerror\b", source)
