"""Whom we say we are: the order of places, exact hosts, helpers that break, nothing secret in a message (95, 96)."""

from __future__ import annotations

import base64
import json
import os
import pwd
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eci_convert.errors import UsageError
from eci_convert.oci.reference import Reference
from eci_convert.transports.credentials import config_files, helpers, lookup
from eci_convert.transports.credentials.config_files import Credential
from eci_convert.transports.credentials.lookup import credential_for
from eci_convert.transports.docker_daemon import endpoint
from eci_convert.transports.registry.http import tls
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.settings import Settings
from tests.support.reporters import Listening

HUB = "https://index.docker.io/v1/"


class World:
    """A home directory, a PATH, and what the user typed."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.environ = {"HOME": str(self.home), "PATH": f"{self.programs}:/usr/bin:/bin"}
        self.reporter = Listening()

    def file(self, path: str, content: Mapping[str, Any] | str) -> Path:
        target = self.home / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content if isinstance(content, str) else json.dumps(content))
        return target

    def helper(self, name: str, script: str) -> None:
        program = self.programs / f"docker-credential-{name}"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def asked(self, text: str, **flags: Any) -> Credential | None:
        settings = Settings(environ=self.environ, reporter=self.reporter, **flags)
        return credential_for(Reference.parse(text), settings)

    def name(self, text: str, **flags: Any) -> str:
        found = self.asked(text, **flags)
        return found.username if found else ""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def basic(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


def logins(**hosts: str) -> dict[str, Any]:
    return {"auths": {host.replace("__", "."): basic(f"{name}:pw") for host, name in hosts.items()}}


def test_each_place_goes_before_the_next(world: World, tmp_path: Path) -> None:
    """In the order of docs/explanation/security.md#credentials."""
    world.environ |= {"XDG_RUNTIME_DIR": str(world.home / "run"), "DOCKER_CONFIG": str(world.home / "conf")}
    places = [
        lambda: world.file(".config/containers/auth.json", logins(r__io="podman-config")),
        lambda: world.file("run/containers/auth.json", logins(r__io="podman-run")),
        lambda: world.file("conf/config.json", logins(r__io="docker-config")),
        lambda: world.environ.update(DOCKER_AUTH_CONFIG=json.dumps(logins(r__io="docker-auth-config"))),
        lambda: world.environ.update(
            REGISTRY_AUTH_FILE=str(world.file("raf.json", logins(r__io="registry-auth-file")))
        ),
    ]
    found = []
    for place in places:
        place()  # type: ignore[no-untyped-call]
        found.append(world.name("r.io/a"))
    assert found == ["podman-config", "podman-run", "docker-config", "docker-auth-config", "registry-auth-file"]
    assert world.name("r.io/a", authfile=str(world.file("flag.json", logins(r__io="authfile")))) == "authfile"
    assert world.name("r.io/a", username="me", password="pw") == "me"


def test_docker_config_replaces_the_file_in_the_home_directory(world: World) -> None:
    world.file(".docker/config.json", logins(r__io="home"))
    assert world.name("r.io/a") == "home"
    world.environ["DOCKER_CONFIG"] = str(world.home / "elsewhere")
    assert world.name("r.io/a") == ""


def test_podman_has_logins_elsewhere_where_there_is_no_runtime_directory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`podman login` as root."""
    monkeypatch.setattr(lookup, "_RUNTIME", world.home / "run")
    world.file(f"run/{os.getuid()}/auth.json", logins(r__io="podman-run"))
    world.file(".config/containers/auth.json", logins(r__io="podman-config"))
    assert world.name("r.io/a") == "podman-run"
    world.environ["XDG_RUNTIME_DIR"] = str(world.home / "elsewhere")
    assert world.name("r.io/a") == "podman-config"


def test_an_authfile_stands_for_all_others(world: World) -> None:
    world.file(".docker/config.json", logins(r__io="home"))
    assert world.name("r.io/a", authfile=str(world.file("mine.json", logins(other__io="x")))) == ""
    with pytest.raises(UsageError, match="nowhere"):
        world.name("r.io/a", authfile="/nowhere/auth.json")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("r.io/a", "plain"),
        ("r.io:5000/a", "port"),
        ("r.io:5001/a", ""),
        ("s.r.io/a", ""),
        ("old.io/a", "old"),
        ("old.io:1/a", ""),
        ("older.io/a", "older"),
        ("evil-r.io/a", ""),
    ],
)
def test_a_credential_is_for_the_exact_host_and_port(world: World, text: str, name: str) -> None:
    """Threat 96."""
    keys = {"r.io": "plain", "r.io:5000": "port", "https://old.io/v1/": "old", "http://older.io/v2": "older"}
    world.file(".docker/config.json", {"auths": {key: basic(f"{name}:pw") for key, name in keys.items()}})
    assert world.name(text) == name


HUB_KEYS = [
    HUB, "index.docker.io", "docker.io", "https://index.docker.io/v1", "registry-1.docker.io",
    "https://registry-1.docker.io/v2/", "docker.io/library",
]  # fmt: skip
HUB_REFERENCES = ["ubuntu", "index.docker.io/library/ubuntu", "registry-1.docker.io/library/ubuntu"]


@pytest.mark.parametrize("key", HUB_KEYS)
@pytest.mark.parametrize("text", HUB_REFERENCES)
def test_docker_hub_has_other_names(world: World, key: str, text: str) -> None:
    """Threat 96: helm and oras say registry-1.docker.io, and helm 3.18 files the login under it."""
    world.file(".docker/config.json", {"auths": {key: basic("me:pw")}})
    assert world.name(text) == "me"
    for other in ("docker.io.evil.example/ubuntu", "registry-1.docker.io.evil.example/a", "registry-2.docker.io/a"):
        assert world.name(other) == ""


@pytest.mark.parametrize("text", HUB_REFERENCES)
@pytest.mark.parametrize("key", [HUB, "registry-1.docker.io", "docker.io"])
def test_a_helper_knows_docker_hub_by_any_of_its_names(world: World, text: str, key: str) -> None:
    world.helper(
        "one",
        f"""read server; test "$server" = {key} || {{ echo credentials not found; exit 1; }}
        printf '{{"ServerURL":"%s","Username":"me","Secret":"pw"}}' "$server" """,
    )
    world.file(".docker/config.json", {"credsStore": "one"})
    assert world.name(text) == "me"
    assert world.reporter.warnings == []


def test_a_broken_helper_is_asked_and_warned_of_once(world: World) -> None:
    world.file(".docker/config.json", {"credsStore": "gone"})
    assert world.name("ubuntu") == ""
    assert len(world.reporter.warnings) == 1


def test_the_name_as_it_is_spelt_goes_before_the_others(world: World) -> None:
    world.file(".docker/config.json", {"auths": {HUB: basic("hub:pw"), "registry-1.docker.io": basic("api:pw")}})
    assert world.name("ubuntu") == "hub"
    assert world.name("registry-1.docker.io/library/ubuntu") == "api"


LONG = b"user:" + b"p" * 120


@pytest.mark.parametrize(
    "text",
    [base64.encodebytes(LONG).decode(), base64.encodebytes(LONG).decode().replace("\n", "\r\n"),
     base64.b64encode(LONG).decode() + "\n", "\n" + base64.b64encode(LONG).decode()],
)  # fmt: skip
def test_base64_may_come_in_lines(world: World, text: str) -> None:
    world.file(".docker/config.json", {"auths": {"r.io": {"auth": text}}})
    found = world.asked("r.io/a")
    assert found is not None
    assert found.basic == f"Basic {base64.b64encode(LONG).decode()}"


@pytest.mark.parametrize("text", ["dXNl cjpwdw==", "dXNlcjpwdw", "dXNlcjpwdw==\t", "dXNlcjpwdw=="[:-1]])
def test_what_go_does_not_take_for_base64_is_none(world: World, text: str) -> None:
    world.file(".docker/config.json", {"auths": {"r.io": {"auth": text}}})
    assert world.asked("r.io/a") is None
    assert "base64" in world.reporter.warnings[0]


def test_a_password_that_is_no_text_goes_as_the_bytes_that_it_is(world: World) -> None:
    pair = b"j\xfcrgen:p\xe4\xff\x80:x"
    world.file(".docker/config.json", {"auths": {"r.io": {"auth": base64.b64encode(pair).decode()}}})
    found = world.asked("r.io/a")
    assert found is not None
    assert base64.b64decode(found.basic.removeprefix("Basic ")) == pair


def test_bytes_that_are_no_text_elsewhere_in_a_file_do_not_matter(world: World) -> None:
    path = world.file(".docker/config.json", {})
    entry = json.dumps(basic("me:pw")).encode()
    path.write_bytes(b'{"HttpHeaders": {"X": "\xff\xfe"}, "auths": {"\xe4.io": {}, "r.io": ' + entry + b"}}")
    assert world.name("r.io/a") == "me"
    assert world.reporter.warnings == []


@pytest.mark.parametrize("behind", ["\n", "  trailing", "}", '{"auths": {}}', "\0\0"])
def test_what_comes_behind_a_file_s_json_is_not_looked_at(world: World, behind: str) -> None:
    world.file(".docker/config.json", "\n " + json.dumps(logins(r__io="me")) + behind)
    assert world.name("r.io/a") == "me"


@pytest.mark.parametrize("behind", ["Done.", "\n{}", " WARNING: update me"])
def test_what_comes_behind_a_helper_s_json_is_not_looked_at(world: World, behind: str) -> None:
    world.helper("one", f"""printf '%s' '{{"username":"me","SECRET":"pw"}}{behind}'""")
    world.file(".docker/config.json", {"credsStore": "one"})
    assert world.name("r.io/a") == "me"


def test_keys_are_read_in_any_case_and_hosts_are_not(world: World) -> None:
    pair = base64.b64encode(b"me:pw").decode()
    world.file(
        ".docker/config.json", {"Auths": {"r.io": {"AUTH": pair}, "s.io": {"UserName": "you", "Password": "pw"}}}
    )
    assert (world.name("r.io/a"), world.name("s.io/a")) == ("me", "you")
    assert world.name("R.io/a") == ""
    world.file(".docker/config.json", {"auths": {"r.io": basic("one:pw")}, "AUTHS": {"s.io": basic("two:pw")}})
    assert (world.name("r.io/a"), world.name("s.io/a")) == ("one", "two")
    world.file(".docker/config.json", {"auths": {"r.io": {"auth": pair, "Auth": None, "IdentityToken": "idt"}}})
    found = world.asked("r.io/a")
    assert found is not None
    assert found.identity_token == "idt"
    world.helper("one", SAYS)
    for key in ("credsstore", "CREDSSTORE"):
        world.file(".docker/config.json", {key: "one"})
        assert world.name("r.io/a") == "by-helper"
    world.file(".docker/config.json", {"credhelpers": {"r.io": "one"}})
    assert world.name("r.io/a") == "by-helper"


@pytest.mark.parametrize("value", [None, ""])
def test_without_home_the_password_database_knows_it(
    world: World, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """systemd units and cron set none; docker and skopeo find the login."""
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_dir=str(world.home)))
    monkeypatch.setattr(lookup, "_RUNTIME", world.home / "run")
    world.environ.pop("HOME")
    if value is not None:
        world.environ["HOME"] = value
    path = world.file(".docker/config.json", logins(r__io="docker"))
    assert world.name("r.io/a") == "docker"
    path.unlink()
    world.file(".config/containers/auth.json", logins(r__io="podman"))
    assert world.name("r.io/a") == "podman"
    folder = world.home / ".config/containers/certs.d/r.io"
    folder.mkdir(parents=True)
    assert list(tls.folders(Url.parse("https://r.io"), Settings(environ=world.environ))) == [folder]
    assert endpoint.config_folder(world.environ) == world.home / ".docker"


def test_a_user_without_a_name_has_no_home(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    world.environ.pop("HOME")
    assert world.name("r.io/a") == ""


def test_settings_without_an_environment_read_nobody_s_files(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_dir=str(world.home)))
    world.file(".docker/config.json", logins(r__io="docker"))
    assert credential_for(Reference.parse("r.io/a"), Settings()) is None


def test_podman_files_credentials_under_namespaces_the_longest_first(world: World) -> None:
    world.file(
        ".config/containers/auth.json", logins(**{"r__io": "host", "r__io/team": "team", "r__io/team/secret": "one"})
    )
    assert world.name("r.io/team/secret") == "one"
    assert world.name("r.io/team/other") == "team"
    assert world.name("r.io/teammate/x") == "host"
    assert world.name("r.io/x") == "host"


@pytest.mark.parametrize(
    ("entry", "meant"),
    [
        (basic("me:a:b:c"), ("me", "a:b:c", "", "")),
        (basic("me:pw\0\0"), ("me", "pw", "", "")),
        (basic("jürgen:pässwörd"), ("jürgen", "pässwörd", "", "")),
        ({"username": "me", "password": "pw"}, ("me", "pw", "", "")),
        (basic("me:") | {"identitytoken": "idt"}, ("me", "", "idt", "")),
        ({"registrytoken": "rt"}, ("", "", "", "rt")),
        (basic("<token>:idt"), ("", "", "idt", "")),
    ],
)
def test_every_form_of_an_entry_is_read(world: World, entry: dict[str, str], meant: tuple[str, ...]) -> None:
    """Threat 95."""
    world.file(".docker/config.json", {"auths": {"r.io": entry}})
    found = world.asked("r.io/a")
    assert found is not None
    assert (found.username, found.password, found.identity_token, found.registry_token) == meant


@pytest.mark.parametrize("entry", [{}, {"auth": ""}, {"auth": 7}, {"email": "x@y"}, None, "text", basic("onlyname")])
def test_an_entry_that_says_nothing_is_no_credential(world: World, entry: Any) -> None:
    """Threat 95: `docker logout` and credential stores leave empty entries behind."""
    world.file(".docker/config.json", {"auths": {"r.io": entry}})
    assert world.asked("r.io/a") is None


def test_what_is_not_base64_is_warned_of_by_name_and_passed_over(world: World) -> None:
    """Threat 95."""
    world.file(".docker/config.json", {"auths": {"r.io": {"auth": "s3cr3t!!"}}})
    world.file(".config/containers/auth.json", logins(r__io="podman"))
    assert world.name("r.io/a") == "podman"
    assert "'r.io'" in world.reporter.warnings[0]
    assert "s3cr3t" not in "".join(world.reporter.warnings)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "{" * 100_000, "\0"])
def test_a_broken_file_is_warned_of_by_name_and_passed_over(world: World, text: str) -> None:
    path = world.file(".docker/config.json", text)
    world.file(".config/containers/auth.json", logins(r__io="podman"))
    assert world.name("r.io/a") == "podman"
    assert str(path) in world.reporter.warnings[0]


def test_a_link_and_a_file_for_all_to_read_are_read(world: World, tmp_path: Path) -> None:
    """Threat 95."""
    real = tmp_path / "real.json"
    real.write_text(json.dumps(logins(r__io="linked")))
    real.chmod(0o644)
    (world.home / ".docker").mkdir(parents=True)
    (world.home / ".docker/config.json").symlink_to(real)
    assert world.name("r.io/a") == "linked"
    assert stat.S_IMODE(real.stat().st_mode) == 0o644


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), IsADirectoryError(21, "Is a directory")])
def test_a_file_that_is_closed_to_us_is_warned_of(
    world: World, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    """HOME=/root for somebody who is not root, as in a container with --user."""

    def refused(*_: object, **__: object) -> bytes:
        raise error

    monkeypatch.setattr(config_files, "read_config_file", refused)
    assert world.asked("r.io/a") is None
    assert str(world.home / ".docker/config.json") in world.reporter.warnings[0]


def test_a_file_that_is_too_long_is_not_read_in_part(world: World) -> None:
    world.file(".docker/config.json", {"auths": {"r.io": {"username": "me", "password": "secret"}}})
    path = world.home / ".docker/config.json"
    path.write_text(path.read_text() + " " * 4_194_304)

    assert world.asked("r.io/a") is None
    assert "larger than 4194304 bytes" in world.reporter.warnings[0]


@pytest.mark.parametrize(
    "entry", [{"username": "me", "password": "\ud800"}, {"identitytoken": "\ud800"}, {"registrytoken": "\udcfc"}]
)
def test_what_is_no_text_is_no_credential(world: World, entry: dict[str, str]) -> None:
    world.file(".docker/config.json", {"auths": {"r.io": entry}})
    assert world.asked("r.io/a") is None


def test_a_helper_that_says_what_is_no_text_says_nothing(world: World) -> None:
    world.helper("half", """printf '{"Username":"me","Secret":"x\\\\ud800y"}'""")
    world.file(".docker/config.json", {"credsStore": "half"})
    assert world.asked("r.io/a") is None
    assert "invalid response" in world.reporter.warnings[0]


def test_names_and_passwords_go_as_the_bytes_that_they_were_given_in(world: World) -> None:
    """A command line or a pipe in Latin-1, in a world of UTF-8."""
    found = world.asked("r.io/a", username="j\udcfcrgen", password="p\udce4:ß")
    assert found is not None
    assert base64.b64decode(found.basic.removeprefix("Basic ")) == b"j\xfcrgen:p\xe4:\xc3\x9f"
    world.environ["DOCKER_AUTH_CONFIG"] = "{\udcfc"
    assert world.asked("r.io/a") is None
    assert "DOCKER_AUTH_CONFIG" in world.reporter.warnings[0]


SAYS = """read server; printf '{"ServerURL":"%s","Username":"by-helper","Secret":"pw-%s"}' "$server" "$server" """


def test_a_helper_is_asked_for_its_host_and_the_store_for_the_rest(world: World) -> None:
    world.helper("one", SAYS)
    world.helper("all", SAYS.replace("by-helper", "by-store"))
    world.file(".docker/config.json", {"credHelpers": {"r.io:1": "one"}, "credsStore": "all"})
    one, other, hub = world.asked("r.io:1/a"), world.asked("x.io/a"), world.asked("ubuntu")
    found = [(each.username, each.password) for each in (one, other, hub) if each is not None]
    assert found == [("by-helper", "pw-r.io:1"), ("by-store", "pw-x.io"), ("by-store", f"pw-{HUB}")]
    assert "pw-" not in repr(one)


def test_the_token_user_of_a_helper_is_an_identity_token(world: World) -> None:
    world.helper("one", """printf '{"Username":"<token>","Secret":"idt"}'""")
    world.file(".docker/config.json", {"credsStore": "one"})
    assert world.asked("r.io/a") == Credential(identity_token="idt", origin="docker-credential-one")


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "echo no; exit 0",
        "echo '{}'",
        """echo '{"Username":1,"Secret":2}'""",
        "kill -9 $$",
        "echo secret-of-another >&2; exit 3",
    ],
)
def test_a_broken_helper_is_warned_of_by_name_and_what_else_is_known_is_used(world: World, script: str) -> None:
    """Threat 95."""
    world.helper("bad", script)
    world.file(".docker/config.json", {"credsStore": "bad", **logins(r__io="inline")})
    assert world.name("r.io/a") == "inline"
    assert world.asked("other.io/a") is None
    assert "docker-credential-bad" in world.reporter.warnings[0]
    assert "secret" not in "".join(world.reporter.warnings)


def test_a_missing_helper_is_warned_of_by_name(world: World) -> None:
    world.file(".docker/config.json", {"credsStore": "gone"})
    assert world.asked("r.io/a") is None
    assert "docker-credential-gone" in world.reporter.warnings[0]


def test_a_helper_that_knows_nothing_is_no_reason_to_warn(world: World) -> None:
    world.helper("empty", "echo credentials not found in native keychain; exit 1")
    world.file(".docker/config.json", {"credsStore": "empty"})
    assert world.asked("r.io/a") is None
    assert world.reporter.warnings == []


def test_a_helper_that_hangs_is_left_behind_with_its_children(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """skopeo waits for ever."""
    monkeypatch.setattr(helpers, "TIME_LIMIT", 0.2)
    child = world.programs / "child"
    world.helper("slow", f"sleep 100 & echo $! >{child}; sleep 100")
    world.file(".docker/config.json", {"credsStore": "slow"})
    assert world.asked("r.io/a") is None
    assert "docker-credential-slow" in world.reporter.warnings[0]
    assert "timed out" in world.reporter.warnings[0]
    deadline = time.monotonic() + 10
    while is_running(int(child.read_text())) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(int(child.read_text()))


def test_a_helper_that_never_stops_talking_is_interrupted(world: World) -> None:
    world.helper("flood", "exec cat /dev/zero")
    world.file(".docker/config.json", {"credsStore": "flood"})
    assert world.asked("r.io/a") is None
    assert "output too long" in world.reporter.warnings[0]


@pytest.mark.parametrize("name", ["x/../evil", "../evil", "/tmp/evil", "-evil", "", " ", "a\nb"])
def test_a_helper_is_never_run_by_a_path(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """skopeo runs `x/../evil` from the working directory."""
    ran = tmp_path / "ran"
    here = tmp_path / "here"
    (here / "docker-credential-x").mkdir(parents=True)
    for place in (here / "evil", here / "docker-credential-evil"):
        place.write_text(f"#!/bin/sh\ntouch {ran}\n")
        place.chmod(0o755)
    monkeypatch.chdir(here)
    world.file(".docker/config.json", {"credsStore": name})
    assert world.asked("r.io/a") is None
    assert not ran.exists()


def test_a_helper_is_not_taken_from_the_working_directory(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.programs)
    world.helper("here", SAYS)
    world.environ["PATH"] = f".{os.pathsep}{os.pathsep}/usr/bin"
    world.file(".docker/config.json", {"credsStore": "here"})
    assert world.asked("r.io/a") is None


def test_no_secret_is_in_the_text_of_a_credential() -> None:
    """Threat 94."""
    credential = Credential(username="me", password="p4ss", identity_token="idt0", registry_token="rt0")
    assert not any(secret in repr(credential) for secret in credential.secrets)
    assert {"p4ss", "idt0", "rt0"} < set(credential.secrets)


def is_running(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def test_a_pipe_is_read_where_the_user_names_it_and_not_waited_for_in_a_home_directory(tmp_path: Path) -> None:
    world = World(tmp_path)
    (world.home / ".docker").mkdir(parents=True)
    os.mkfifo(world.home / ".docker/config.json")
    settings = Settings(environ=world.environ, reporter=world.reporter)
    assert credential_for(Reference.parse("r.example/x"), settings) is None
    assert "is a pipe" in world.reporter.warnings[0]
    reading, writing = os.pipe()
    try:
        auth = base64.b64encode(b"me:secret").decode()
        os.write(writing, json.dumps({"auths": {"r.example": {"auth": auth}}}).encode())
    finally:
        os.close(writing)
    try:
        named = Settings(environ=world.environ, reporter=world.reporter, authfile=f"/dev/fd/{reading}")
        found = credential_for(Reference.parse("r.example/x"), named)
    finally:
        os.close(reading)
    assert found is not None
    assert found.username == "me"
