"""Two registries, two logins: each is told its own, and what is for one side does not touch the other."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import eci_convert
from eci_convert.cli import side_options
from eci_convert.errors import UsageError
from eci_convert.testing import FaultyRegistry
from tests.support.command_line import Run, one_line
from tests.support.fake_registry.server import CERTS, a_registry

CA = str(CERTS / "ca.pem")
ME, YOU = "me:my-pw", "you:your-pw"


@pytest.fixture
def registry(run: Run, layout: Path) -> Iterator[FaultyRegistry]:
    with a_registry() as running:
        run("copy", f"oci:{layout}:edge/machine:1", f"docker://{running.host}/edge/machine:1")
        running.requests.clear()
        running.users = {"me": "my-pw"}
        yield running


@pytest.fixture
def other() -> Iterator[FaultyRegistry]:
    with a_registry() as running:
        running.users = {"you": "your-pw"}
        yield running


def types(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def names(source: FaultyRegistry, destination: FaultyRegistry) -> list[str]:
    return ["copy", f"docker://{source.host}/edge/machine:1", f"docker://{destination.host}/mirror/machine:1"]


def told(registry: FaultyRegistry) -> set[str]:
    return set(registry.secrets_seen())


def test_one_login_is_not_told_two_registries(
    run: Run, registry: FaultyRegistry, other: FaultyRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for verb in (names(registry, other), ["verify", names(registry, other)[1], "--fix", names(registry, other)[2]]):
        types(monkeypatch, "my-pw\n")
        said = run(*verb, "--username", "me", "--password-stdin", exits=2)
        one_line(said, "a login", registry.host, other.host)
        assert "--src-username" in said.err
    assert registry.requests == other.requests == []


def test_each_side_is_told_its_own_login(
    run: Run, registry: FaultyRegistry, other: FaultyRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    types(monkeypatch, "my-pw\nyour-pw\n")
    logins = ["--src-username", "me", "--src-password-stdin", "--dest-username", "you", "--dest-password-stdin"]
    run(*names(registry, other), *logins)
    assert told(registry) == {ME}
    assert told(other) == {YOU}


@pytest.mark.parametrize("side", ["src", "dest"])
def test_a_login_for_one_side_leaves_the_other_to_its_files(
    run: Run,
    registry: FaultyRegistry,
    other: FaultyRegistry,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    side: str,
) -> None:
    ours, host, pair = (registry, other.host, YOU) if side == "src" else (other, registry.host, ME)
    folder = tmp_path / "home/.docker"
    folder.mkdir(parents=True)
    auth = base64.b64encode(pair.encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    name, password = (ME if side == "src" else YOU).split(":")
    types(monkeypatch, f"{password}\n")
    run(*names(registry, other), f"--{side}-username", name, f"--{side}-password-stdin")
    assert told(ours) == {f"{name}:{password}"}
    assert told(registry) | told(other) == {ME, YOU}


def test_a_login_for_both_is_for_the_side_that_has_none_of_its_own(
    run: Run, registry: FaultyRegistry, other: FaultyRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    types(monkeypatch, "my-pw\nyour-pw\n")
    both = ["--username", "me", "--password-stdin", "--dest-username", "you", "--dest-password-stdin"]
    run(*names(registry, other), *both)
    assert (told(registry), told(other)) == ({ME}, {YOU})


def test_one_registry_is_told_one_login(run: Run, registry: FaultyRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    types(monkeypatch, "my-pw\n")
    run(*names(registry, registry), "--username", "me", "--password-stdin")
    assert told(registry) == {ME}


def test_passwords_may_come_from_the_environment(
    run: Run, registry: FaultyRegistry, other: FaultyRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECI_CONVERT_SRC_PASSWORD", "my-pw")
    monkeypatch.setenv("ECI_CONVERT_DEST_PASSWORD", "your-pw")
    run(*names(registry, other), "--src-username", "me", "--dest-username", "you")
    assert (told(registry), told(other)) == ({ME}, {YOU})
    monkeypatch.setenv("ECI_CONVERT_PASSWORD", "my-pw")
    run("inspect", names(registry, other)[1], "--username", "me")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--src-username", "me"], ""),
        (["--dest-password-stdin"], "x\n"),
        (["--src-username", "a", "--src-password-stdin", "--dest-username", "b", "--dest-password-stdin"], "one\n"),
        (["--src-username", "a", "--src-password-stdin", "--dest-username", "b", "--dest-password-stdin"], "\nx\n"),
    ],
)
def test_half_a_login_is_misuse(
    run: Run,
    registry: FaultyRegistry,
    other: FaultyRegistry,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    text: str,
) -> None:
    types(monkeypatch, text)
    run(*names(registry, other), *words, exits=2)
    assert registry.requests == other.requests == []


def test_certificates_are_for_one_side(run: Run, registry: FaultyRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.users = {}
    client = str(CERTS / "client.pem")
    with a_registry(cert="server", client_ca="ca") as secure:
        run(*names(registry, secure), "--retries", "0", exits=3)
        run(*names(registry, secure), "--src-ca-file", CA, "--src-cert-file", client, "--retries", "0", exits=3)
        run(*names(registry, secure), "--dest-ca-file", CA, "--dest-cert-file", client)
        monkeypatch.setenv("ECI_CONVERT_SRC_CA_FILE", CA)
        monkeypatch.setenv("ECI_CONVERT_SRC_CERT_FILE", client)
        run("copy", names(registry, secure)[2], f"docker://{registry.host}/back:1")
    with a_registry(cert="expired") as stale:
        run(*names(registry, stale), "--src-insecure", "--retries", "0", exits=3)
        run(*names(registry, stale), "--dest-insecure")
        run(*names(registry, stale), "--dest-insecure", "--dest-plain-http", "--retries", "0", exits=3)


def test_a_file_of_credentials_is_for_one_side(
    run: Run, registry: FaultyRegistry, other: FaultyRegistry, tmp_path: Path
) -> None:
    files = []
    for host, pair in ((registry.host, ME), (other.host, YOU)):
        files.append(tmp_path / f"{host}.json")
        auth = base64.b64encode(pair.encode()).decode()
        files[-1].write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    run(*names(registry, other), "--src-authfile", files[0], exits=5)
    run(*names(registry, other), "--src-authfile", files[0], "--dest-authfile", files[1])
    run(*names(registry, other), "--authfile", files[1], "--src-authfile", files[0])


def test_every_connection_option_has_one_for_each_side() -> None:
    from eci_convert.cli.commands.copy import copy

    words = {name for option in copy.params for name in option.opts}
    for name in ("plain-http", "insecure", "ca-file", "cert-file", "key-file", "authfile", "username",
                 "password-stdin", "address", "namespace"):  # fmt: skip
        assert {f"--{name}", *(f"--{side}-{name}" for side in side_options.SIDES)} <= words


def test_the_library_does_not_tell_one_password_to_two_registries(
    registry: FaultyRegistry, other: FaultyRegistry, tmp_path: Path
) -> None:
    options = eci_convert.Options(username="me", password="my-pw", environ={"HOME": str(tmp_path)}, timeout=5.0)
    _, src, dst = names(registry, other)
    with pytest.raises(UsageError, match="is for one registry"):
        eci_convert.copy(src, dst, options=options)
    assert registry.requests == other.requests == []
    other.users = {"me": "my-pw"}
    eci_convert.copy(src, dst, options=options, destination_options=options)
    assert told(other) == {ME}


def test_several_references_with_one_login_are_in_one_registry(
    run: Run, registry: FaultyRegistry, other: FaultyRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, first, second = names(registry, other)
    before = set(tmp_path.iterdir())
    for words in (
        ["index", "create", first, second],
        ["index", "create", f"oci:{tmp_path}/index:1", first, second],
        ["index", "add", first, second],
        ["diff", first, second],
        ["delete", first, second],
        ["preload", first, second, "--root", str(tmp_path / "store")],
        ["verify", first, "--fix", second],
    ):
        types(monkeypatch, "my-pw\n")
        refused = run(*words, "--username", "me", "--password-stdin", exits=2)
        one_line(refused, "a login is for one registry", registry.host, other.host)
    assert registry.requests == other.requests == []
    assert set(tmp_path.iterdir()) == before


def test_the_library_does_not_tell_one_password_to_the_registries_of_an_index(
    registry: FaultyRegistry, other: FaultyRegistry, tmp_path: Path
) -> None:
    options = eci_convert.Options(username="me", password="my-pw", environ={"HOME": str(tmp_path)}, timeout=5.0)
    _, src, dst = names(registry, other)
    with pytest.raises(UsageError, match="a login is for one registry"):
        eci_convert.create_index(dst, [src], options=options)
    with pytest.raises(UsageError, match="a login is for one registry"):
        eci_convert.delete(src, dst, options=options)
    assert registry.requests == other.requests == []
