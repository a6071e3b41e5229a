"""`doctor`: what is here, how a registry is reached, which credential goes to it; and no secret anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_convert.oci.reference import Reference
from eci_convert.testing import FaultyRegistry, faults
from eci_convert.transports.registry.state.host_facts import HostFacts
from eci_convert.transports.settings import Settings
from tests.cli.conftest import Parts
from tests.support.command_line import CommandResult, Run, one_line
from tests.support.fake_containerd import a_containerd
from tests.support.fake_docker import a_docker
from tests.support.fake_registry.server import CERTS, a_registry
from tests.support.home_directory import PASSWORD, User

BASIC = "bWU6cDRzc3cwcmQ="


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with a_registry() as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_of_this_computer(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CONTAINER_HOST", "CONTAINERD_ADDRESS", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("CONTAINERD_ADDRESS", str(tmp_path / "no-containerd.sock"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()


def named(result: CommandResult) -> dict[str, dict[str, object]]:
    return {one["name"]: one for one in result.json["findings"]}


def program(folder: Path, name: str, script: str) -> None:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_nothing_here_is_no_error(run: Run) -> None:
    said = run("doctor", "--json")
    assert [one["name"] for one in said.json["findings"]] == [
        "docker engine", "podman socket", "podman", "containerd", "qemu-img",
    ]  # fmt: skip
    assert not any(one["found"] for one in said.json["findings"])
    assert "not found" in run("doctor").out


def test_engines_and_programs_are_found_with_their_versions(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "podman", "echo podman version 4.9.3")
    program(tmp_path, "qemu-img", "echo 'qemu-img version 7.2.22 (Debian 1:7.2)'")
    (tmp_path / "runtime/podman").mkdir(parents=True)
    with a_docker(tmp_path, in_containerd=True), a_docker(tmp_path / "runtime/podman"), a_containerd(tmp_path):
        (tmp_path / "runtime/podman/docker.sock").rename(tmp_path / "runtime/podman/podman.sock")
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
        monkeypatch.setenv("CONTAINERD_ADDRESS", str(tmp_path / "containerd.sock"))
        found = named(run("doctor", "--json"))
    assert all(one["found"] for one in found.values()), found
    assert found["podman"]["version"] == "4.9.3"
    assert found["qemu-img"]["version"] == "7.2.22"
    assert found["containerd"]["version"] == "v1.7.99"
    assert found["docker engine"]["where"] == f"unix://{tmp_path}/docker.sock"
    assert "containerd's image store" in str(found["docker engine"]["detail"])
    assert "classic" in str(found["podman socket"]["detail"])


def test_a_program_that_hangs_or_fails_is_told_of(run: Run, tmp_path: Path) -> None:
    program(tmp_path, "podman", "exec /bin/sleep 60")
    program(tmp_path, "qemu-img", "exit 3")
    found = named(run("doctor", "--json", "--timeout", "0.2"))
    assert "no answer within 0.2 s" in str(found["podman"]["detail"])
    assert "exit 3" in str(found["qemu-img"]["detail"])


def test_a_password_in_an_address_is_not_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://me:s3cret@127.0.0.1:9")
    said = run("doctor", "--json")
    assert "s3cret" not in said.out + said.err


def test_a_registry_that_asks_nobody(run: Run, registry: FaultyRegistry) -> None:
    found = run("doctor", registry.host, "--json").json
    assert found["answers"] is True
    assert found["url"] == f"{registry.url}/v2/"
    assert found["login"] == "not asked for"
    assert found["credential"] is None
    assert found["error"] is None
    assert {seen.path for seen in registry.requests} == {"/v2/"}


@pytest.mark.parametrize("bearer", [False, True])
def test_the_credential_that_would_be_used_is_named_and_not_shown(
    run: Run, registry: FaultyRegistry, tmp_path: Path, *, bearer: bool
) -> None:
    registry.users, registry.bearer = {"me": PASSWORD}, bearer
    User(tmp_path / "home").logs_in(registry.host)
    said = run("doctor", f"docker://{registry.host}", "--json")
    assert said.json["credential"] == {"from": str(tmp_path / "home/.docker/config.json"), "username": "me"}
    assert said.json["login"] == "accepted"
    [asked] = said.json["authentication"]
    assert asked["scheme"] == ("bearer" if bearer else "basic")
    told = run("doctor", registry.host).out
    assert "user 'me', from " in told
    for text in (said.out, said.err, told):
        assert PASSWORD not in text
        assert BASIC not in text
        assert not any(token in text for token in registry.tokens)


def test_a_refused_login_is_exit_5(run: Run, registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.users = {"me": PASSWORD}
    User(tmp_path / "home").logs_in(registry.host, password="wr0ng")
    said = run("doctor", registry.host, exits=5)
    assert "refused" in said.out
    one_line(said, "access denied")
    assert "wr0ng" not in said.out + said.err


def test_an_image_is_looked_for(run: Run, registry: FaultyRegistry, parts: Parts) -> None:
    run("push", f"{registry.host}/machine:1", "--kernel", parts.kernel)
    assert run("doctor", f"{registry.host}/machine:1", "--json").json["digest"].startswith("sha256:")
    one_line(run("doctor", f"{registry.host}/machine:2", exits=4), "machine")


def test_a_certificate_that_is_not_believed_is_exit_3(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_registry(cert="server") as registry:
        assert '"answers": false' in run("doctor", registry.host, "--json", exits=3).out
        trusted = run("doctor", registry.host, "--ca-file", CERTS / "ca.pem", "--json").json
        assert trusted["certificate_verified"] is True
        assert trusted["certificates"] == [str(CERTS / "ca.pem")]
        assert run("doctor", registry.host, "--insecure", "--json").json["certificate_verified"] is False


def test_mirrors_blocks_and_proxies_are_told(
    run: Run, registry: FaultyRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    conf = tmp_path / "registries.conf"
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(conf))
    conf.write_text(f'[[registry]]\nlocation="{registry.host}"\n[[registry.mirror]]\nlocation="mirror.example/cache"\n')
    found = run("doctor", registry.host, "--json").json
    assert found["places"] == ["mirror.example/cache", registry.host]
    assert found["rule"] == f"{conf}:1"
    conf.write_text('[[registry]]\nlocation="blocked.example"\nblocked=true\n')
    one_line(run("doctor", "blocked.example", exits=5), f"{conf}:3")
    monkeypatch.setenv("HTTP_PROXY", f"http://me:s3cret@{registry.host}")
    said = run("doctor", "elsewhere.invalid", "--plain-http", "--json")
    assert said.json["proxy"] == registry.host
    assert "s3cret" not in said.out + said.err


def test_limits_that_were_learnt_are_told(run: Run, registry: FaultyRegistry, tmp_path: Path) -> None:
    host = Reference.parse(f"{registry.host}/x").host
    HostFacts(host, Settings(environ={"HOME": str(tmp_path / "home")})).remember(largest=4_000_000)
    assert run("doctor", registry.host, "--json").json["limits"] == {"largest": 4_000_000}
    assert "4000000" in run("doctor", registry.host).out


def test_a_registry_that_is_not_there_is_exit_3_and_nonsense_exit_2(run: Run, registry: FaultyRegistry) -> None:
    registry.misbehave("GET", "/v2/", faults.dropped, times=100)
    one_line(run("doctor", registry.host, "--retries", "0", exits=3), registry.host)
    one_line(run("doctor", "oci:dir", exits=2), "no registry")
    one_line(run("doctor", "a b.example", exits=2), "a b.example")


def test_what_is_not_here_is_said_in_one_word_and_one_place(run: Run, tmp_path: Path) -> None:
    rows = {row.split("  ")[0]: row for row in run("doctor").out.splitlines()}
    for name, socket in (("docker engine", "none.sock"), ("podman socket", "runtime/podman/podman.sock")):
        assert rows[name].count(f"{tmp_path}/{socket}") == 1
        assert "No such file or directory (" in rows[name]
    assert "Docker engine" not in rows["podman socket"]


@pytest.mark.parametrize(
    "more",
    [["--plain-http"], ["--insecure"], ["--ca-file", "x"], ["--authfile", "x"], ["--retries", "3"]],
    ids=lambda more: more[0],
)
def test_an_option_for_registries_needs_one(more: list[str], run: Run) -> None:
    one_line(run("doctor", *more, exits=2), f"{more[0]} has no effect", "registries")


def test_an_option_for_containerd_has_no_effect_on_a_registry(run: Run, registry: FaultyRegistry) -> None:
    for more in (["--address", "/x"], ["--namespace", "x"]):
        one_line(run("doctor", registry.host, *more, exits=2), f"{more[0]} has no effect on {registry.host}")


def test_options_that_doctor_has_a_use_for_are_none_of_these(run: Run, tmp_path: Path) -> None:
    found = named(run("doctor", "--json", "--timeout", "3", "--address", str(tmp_path / "mine.sock")))
    assert found["containerd"]["where"] == str(tmp_path / "mine.sock")
