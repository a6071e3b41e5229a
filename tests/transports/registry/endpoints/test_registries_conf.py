"""containers-registries.conf(5), read as podman reads it: which files count, and what they say."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from eci_convert.errors import AccessDeniedError, LocalError
from eci_convert.oci.reference import Reference
from eci_convert.transports.registry.endpoints import choice, daemon_json, registries_conf
from eci_convert.transports.registry.endpoints.choice import candidate_endpoints, is_insecure
from eci_convert.transports.registry.endpoints.registries_conf import load_aliases, load_rules
from eci_convert.transports.registry.endpoints.rules import match_length
from eci_convert.transports.registry.endpoints.short_names import resolve
from eci_convert.transports.settings import Settings

DIGEST = "sha256:" + 64 * "a"

MANUAL = """\
unqualified-search-registries = ["example.com"]

[[registry]]
prefix = "example.com/foo"
insecure = false
blocked = false
location = "internal-registry-for-example.com/bar"

[[registry.mirror]]
location = "example-mirror-0.local/mirror-for-foo"

[[registry.mirror]]
location = "example-mirror-1.local/mirrors/foo"
insecure = true

[[registry]]
location = "registry.com"

[[registry.mirror]]
location = "mirror.registry.com"
"""
"""The example of the manual page."""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home")}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def named(tmp_path: Path, text: str) -> dict[str, str]:
    return {"CONTAINERS_REGISTRIES_CONF": str(write(tmp_path / "named.conf", text))}


def asked(name: str, environ: dict[str, str], **flags: object) -> list[str]:
    found = candidate_endpoints(Reference.parse(name), Settings(environ=environ, **flags))  # type: ignore[arg-type]
    return [str(one.reference) for one in found]


def test_the_example_of_the_manual(tmp_path: Path) -> None:
    environ = named(tmp_path, MANUAL)
    assert asked("example.com/foo/image:latest", environ) == [
        "example-mirror-0.local/mirror-for-foo/image:latest",
        "example-mirror-1.local/mirrors/foo/image:latest",
        "internal-registry-for-example.com/bar/image:latest",
    ]
    assert asked(f"registry.com/image@{DIGEST}", environ) == [
        f"mirror.registry.com/image@{DIGEST}", f"registry.com/image@{DIGEST}",
    ]  # fmt: skip
    assert asked("example.com/food:1", environ) == ["example.com/food:1"]
    found = candidate_endpoints(Reference.parse("example.com/foo/image"), Settings(environ=environ))
    assert [one.insecure for one in found] == [False, True, False]


@pytest.mark.parametrize(
    ("reference", "prefix", "length"),
    [
        ("example.com/foo:1", "example.com", 11),
        ("example.com/foo:1", "example.com/foo", 15),
        ("example.com/foo:1", "example.com/fo", None),
        (f"example.com/foo@{DIGEST}", "example.com/foo", 15),
        ("example.com/foo:1", "example.com/foo:1", 17),
        ("a.b.example.com/foo", "*.example.com", 15),
        ("a.example.com:5000/foo", "*.example.com", 13),
        ("example.com/foo", "*.example.com", None),
        ("evil.org/a.example.com/foo", "*.example.com", None),
        ("a.example.community/foo", "*.example.com", None),
    ],
)
def test_prefixes_end_with_a_component(reference: str, prefix: str, length: int | None) -> None:
    assert match_length(reference, prefix) == length


def test_the_longest_prefix_wins_and_a_wildcard_keeps_names(tmp_path: Path) -> None:
    environ = named(
        tmp_path,
        '[[registry]]\nprefix="*.example.com"\n[[registry.mirror]]\nlocation="m.local"\n'
        '[[registry]]\nlocation="a.example.com/team"\n[[registry.mirror]]\nlocation="team.local"\n',
    )
    assert asked("b.example.com/x:1", environ) == ["m.local/x:1", "b.example.com/x:1"]
    assert asked("a.example.com/team/x:1", environ) == ["team.local/x:1", "a.example.com/team/x:1"]


def test_mirrors_for_digests_or_tags_alone(tmp_path: Path) -> None:
    environ = named(
        tmp_path,
        '[[registry]]\nlocation="r.example"\n'
        '[[registry.mirror]]\nlocation="digests.example"\npull-from-mirror="digest-only"\n'
        '[[registry.mirror]]\nlocation="tags.example"\npull-from-mirror="tag-only"\n'
        '[[registry]]\nlocation="s.example"\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation="m.example"\n',
    )
    assert asked("r.example/x:1", environ) == ["tags.example/x:1", "r.example/x:1"]
    assert asked(f"r.example/x@{DIGEST}", environ) == [f"digests.example/x@{DIGEST}", f"r.example/x@{DIGEST}"]
    assert asked("s.example/x:1", environ) == ["s.example/x:1"]
    assert asked(f"s.example/x@{DIGEST}", environ) == [f"m.example/x@{DIGEST}", f"s.example/x@{DIGEST}"]


def test_docker_hub_is_spelt_out(tmp_path: Path) -> None:
    environ = named(
        tmp_path, '[[registry]]\nlocation="docker.io"\n[[registry.mirror]]\nlocation="m.example:5000/hub"\n'
    )
    assert asked("alpine", environ) == ["m.example:5000/hub/library/alpine:latest", "docker.io/library/alpine:latest"]


def test_nothing_that_was_given_for_one_registry_is_told_another(tmp_path: Path) -> None:
    environ = named(
        tmp_path,
        '[[registry]]\nlocation="r.example"\n[[registry.mirror]]\nlocation="m.example"\n'
        '[[registry.mirror]]\nlocation="r.example/cache"\n',
    )
    settings = Settings(
        environ=environ, username="me", password="secret", cert_file="c", key_file="k", plain_http=True, insecure=True
    )  # fmt: skip
    mirror, cache, own = candidate_endpoints(Reference.parse("r.example/x:1"), settings)
    assert mirror.settings.username == mirror.settings.password == mirror.settings.cert_file == ""
    assert mirror.settings.key_file == ""
    assert not mirror.settings.plain_http
    assert not mirror.settings.insecure
    assert cache.settings.password == own.settings.password == "secret"
    assert own.settings is settings


def test_configuration_files_override_each_other_as_in_podman(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As podman 4.3 has it: drop-ins override the main file, the user's the system's, in the order of their names."""
    system, own = tmp_path / "etc", tmp_path / "home/.config/containers"
    monkeypatch.setattr(registries_conf, "SYSTEM", system)

    def location() -> str:
        return asked("r.example/x:1", environ)[-1].partition("/")[0]

    def rule(path: Path, where: str) -> None:
        write(path, f'[[registry]]\nprefix="r.example"\nlocation="{where}"\n')

    assert location() == "r.example"
    rule(system / "registries.conf", "main.example")
    assert location() == "main.example"
    rule(system / "registries.conf.d/10-a.conf", "ten.example")
    rule(system / "registries.conf.d/20-b.conf", "twenty.example")
    write(system / "registries.conf.d/30.conf.orig", "no [toml")
    assert location() == "twenty.example"
    rule(own / "registries.conf.d/00-own.conf", "own-drop-in.example")
    assert location() == "own-drop-in.example"
    (own / "registries.conf.d/00-own.conf").unlink()
    rule(own / "registries.conf", "own.example")
    assert location() == "own.example", "the system's drop-ins count beside the user's own file"
    environ["CONTAINERS_REGISTRIES_CONF"] = str(tmp_path / "named.conf")
    rule(tmp_path / "named.conf", "named.example")
    assert location() == "twenty.example"
    environ["CONTAINERS_REGISTRIES_CONF_DIR"] = str(tmp_path / "none")
    assert location() == "named.example"
    (tmp_path / "named.conf").unlink()
    with pytest.raises(LocalError, match="does not exist"):
        location()
    assert load_rules({}).rules == ()


def test_a_blocked_registry_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    text = '# nothing from there\n[[registry]]\nlocation = "ok.example"\n\n'
    environ = named(tmp_path, text + '[[registry]]\nlocation = "bad.example"\n  blocked = true\n')
    settings = Settings(environ=environ)
    with pytest.raises(AccessDeniedError, match=r"bad.example/x:1 is blocked by .*named\.conf:7\n"):
        is_insecure(Reference.parse("bad.example/x:1"), settings)
    assert is_insecure(Reference.parse("ok.example/x:1"), settings) is False


def test_the_first_version_of_the_format(tmp_path: Path) -> None:
    text = "[registries.insecure]\nregistries = ['a.example']\n[registries.block]\nregistries = ['b.example']\n"
    settings = Settings(environ=named(tmp_path, text))
    assert is_insecure(Reference.parse("a.example/x"), settings)
    with pytest.raises(AccessDeniedError, match=r"named.conf"):
        is_insecure(Reference.parse("b.example/x"), settings)


@pytest.mark.parametrize(
    "text",
    [
        "[[registry]\n",
        "[[registry]]\n",
        '[[registry]]\nprefix="a.example"\n',
        '[[registry]]\nlocation="https://a.example"\n',
        '[[registry]]\nlocation="a.example"\nblocked="yes"\n',
        '[[registry]]\nlocation=1\n',
        '[[registry]]\nlocation="a.example"\n[[registry.mirror]]\ninsecure=true\n',
        '[[registry]]\nlocation="a.example"\n[[registry.mirror]]\nlocation="m"\npull-from-mirror="x"\n',
        '[[registry]]\nlocation="a.example"\npull-from-mirror="all"\n',
        '[registry]\nlocation="a.example"\n',
        '[[registry]]\nlocation="a.example"\n[registries.block]\nregistries=["b.example"]\n',
        '[[registry]]\nlocation="a.example"\n[[registry.mirror]]\nlocation="m.example"\npull-from-mirror="all"\n'
        '[[registry]]\nlocation="b.example"\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation="c.example"\n'
        'pull-from-mirror="all"\n',
        '[[registry]]\nlocation="a.example"\n[[registry.mirror]]\nlocation="no-host/x"\n',
        'x = [\n',
        '"a" = """\n',
        '"a" = "b" c\n',
        "[['registry']]\n",
        '[["\\u0072egistry"]]\n',
        'registries.block = 1\n',
    ],
)  # fmt: skip
def test_a_file_without_sense_is_an_error_that_names_it(text: str, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"named\.conf"):
        asked("a.example/x:1", named(tmp_path, text))


def test_short_names_are_resolved_by_aliases(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registries_conf, "SYSTEM", tmp_path / "etc")
    monkeypatch.setattr(registries_conf, "MACHINE_ALIASES", tmp_path / "machine.conf")
    write(tmp_path / "etc/registries.conf", '[aliases]\n"fedora"="r.example/fedora"\n"gone"="r.example/gone"\n')
    write(tmp_path / "etc/registries.conf.d/1.conf", '[aliases]\n"gone"=""\n"team/x"="r.example/team/x"\n')
    settings = Settings(environ=environ)
    assert resolve("fedora", settings) == "r.example/fedora"
    assert resolve("fedora:38", settings) == "r.example/fedora:38"
    assert resolve(f"fedora@{DIGEST}", settings) == f"r.example/fedora@{DIGEST}"
    assert resolve("team/x:1", settings) == "r.example/team/x:1"
    for name in ("gone:1", "other", "localhost/fedora", "r.example/fedora:1", "localhost:5000/fedora", "team/fedora"):
        assert resolve(name, settings) == name
    write(tmp_path / "etc/registries.conf", '[aliases]\n"fedora"="A Bad Name"\n')
    with pytest.raises(LocalError, match="fedora"):
        resolve("fedora", settings)
    assert load_aliases({}) == {}


def test_dockers_mirrors_are_for_docker_hub(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_json, "SYSTEM", tmp_path / "daemon.json")
    write(
        tmp_path / "daemon.json", '{"registry-mirrors": ["https://m.example/", "http://n.example:5000", 7, "ftp://x"]}'
    )
    first, second, own = candidate_endpoints(Reference.parse("ubuntu:1"), Settings(environ=environ))
    assert str(first.reference) == "m.example/library/ubuntu:1"
    assert str(second.reference) == "n.example:5000/library/ubuntu:1"
    assert (first.settings.plain_http, second.settings.plain_http, own.settings.plain_http) == (False, True, False)
    assert asked("quay.io/ubuntu:1", environ) == ["quay.io/ubuntu:1"]
    write(tmp_path / "home/.config/docker/daemon.json", '{"registry-mirrors": ["https://own.example"]}')
    assert asked("ubuntu:1", environ)[0] == "own.example/library/ubuntu:1"
    write(tmp_path / "home/.config/docker/daemon.json", "{")
    assert asked("ubuntu:1", environ)[0] == "m.example/library/ubuntu:1"
    environ |= named(tmp_path, '[[registry]]\nlocation="docker.io"\n')
    assert asked("ubuntu:1", environ) == ["docker.io/library/ubuntu:1"], (
        "registries.conf decides where it says anything"
    )


def test_a_mirror_is_not_waited_for_as_long(tmp_path: Path) -> None:
    environ = named(tmp_path, '[[registry]]\nlocation="r.example"\n[[registry.mirror]]\nlocation="m.example"\n')
    mirror, own = candidate_endpoints(Reference.parse("r.example/x:1"), Settings(environ=environ))
    assert mirror.settings.retries == choice._MIRROR_RETRIES
    assert mirror.settings.timeout < own.settings.timeout


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("http://mirror", "mirror:80"),
        ("https://mirror/hub/", "mirror:443/hub"),
        ("http://[::1", ""),
        ("https://a b", ""),
        ("https:///hub", ""),
        ("https://me:pw@m.example", ""),
    ],
)
def test_a_mirror_of_dockerd_may_be_a_bare_host_and_what_is_no_url_is_left_out(
    environ: dict[str, str], tmp_path: Path, url: str, location: str
) -> None:
    write(tmp_path / "home/.config/docker/daemon.json", f'{{"registry-mirrors": ["{url}", "https://m.example"]}}')
    found = candidate_endpoints(Reference.parse("alpine"), Settings(environ=environ))
    hosts = [f"{host}/library/alpine:latest" for host in (location, "m.example", "docker.io") if host]
    assert [str(candidate.reference) for candidate in found] == hosts


def test_a_pipe_in_a_home_directory_is_not_waited_for(environ: dict[str, str], tmp_path: Path) -> None:
    for name in ("containers/registries.conf", "docker/daemon.json"):
        path = tmp_path / "home/.config" / name
        path.parent.mkdir(parents=True)
        os.mkfifo(path)
    with pytest.raises(LocalError, match=r"registries\.conf: is a pipe"):
        load_rules(environ)
    assert daemon_json.hub_rule(environ) is None or daemon_json.SYSTEM.exists()


def test_a_device_that_is_empty_says_nothing(environ: dict[str, str]) -> None:
    assert load_rules(environ | {"CONTAINERS_REGISTRIES_CONF": "/dev/null"}).rules == ()


def test_without_home_the_password_database_tells_the_home_directory(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_dir=environ["HOME"]))
    write(tmp_path / "home/.config/containers/registries.conf", '[[registry]]\nlocation = "r.example"\nblocked = true')
    write(tmp_path / "home/.config/docker/daemon.json", '{"registry-mirrors": ["https://m.example"]}')
    assert [rule.prefix for rule in load_rules({"PATH": "/bin"}).rules] == ["r.example"]
    assert daemon_json.hub_rule({"PATH": "/bin"}) is not None
    assert load_rules({}).rules == ()


def test_a_home_directory_that_cannot_be_looked_into_has_no_files(environ: dict[str, str]) -> None:
    assert load_rules({"HOME": "/" + 300 * "a"}) == load_rules(environ)


def test_a_file_of_comments_and_short_names_has_no_rules(tmp_path: Path) -> None:
    text = '# [[registry]]\r\n\n  [aliases] # some\n"a"="b" # [[registry]]\n "c" = "d"'
    assert load_rules(named(tmp_path, text)).rules == ()
    assert load_aliases(named(tmp_path, text)) == {"a": "b", "c": "d"}


@pytest.mark.parametrize("text", ["[['registry']]", '[[ "registry" ]]', '[["\\u0072egistry"]]', "[ [registry]]"])
def test_a_table_counts_however_its_name_is_written(text: str, tmp_path: Path) -> None:
    environ = named(tmp_path, f'{text}\nlocation = "bad.example"\nblocked = true\n')
    with pytest.raises((AccessDeniedError, LocalError), match=r"named\.conf"):
        is_insecure(Reference.parse("bad.example/x:1"), Settings(environ=environ))


@pytest.mark.parametrize(
    ("name", "shown"), [("'registry'", r"named\.conf:3\n"), ('"\\u0072egistry"', r"named\.conf\n")]
)
def test_no_wrong_line_is_named(name: str, shown: str, tmp_path: Path) -> None:
    text = f'[[{name}]]\nlocation = "bad.example"\nblocked = true\n[[registry]]\nlocation = "other.example"\n'
    with pytest.raises(AccessDeniedError, match=shown):
        is_insecure(Reference.parse("bad.example/x:1"), Settings(environ=named(tmp_path, text)))


def _make_pipe(path: Path) -> None:
    os.mkfifo(path)


def _make_loop(path: Path) -> None:
    path.symlink_to(path.name)


def _make_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def _make_link_to_folder(path: Path) -> None:
    path.symlink_to("/")


def _make_long_file(path: Path) -> None:
    path.write_bytes(b"#" * 5_000_000)


@pytest.mark.parametrize("make", [_make_pipe, _make_loop, _make_dangling_link, _make_link_to_folder, _make_long_file])
def test_a_drop_in_that_cannot_be_read_is_an_error(
    make: Callable[[Path], None], environ: dict[str, str], tmp_path: Path
) -> None:
    """As for podman and skopeo: it may be the one that blocks a registry."""
    folder = tmp_path / "home/.config/containers/registries.conf.d"
    folder.mkdir(parents=True)
    make(folder / "1.conf")

    for load in (load_rules, load_aliases):
        with pytest.raises(LocalError, match=r"registries\.conf\.d/1\.conf: "):
            load(environ)


@pytest.mark.parametrize("name", ["registries.conf", "registries.conf.d", "."])
def test_a_path_on_the_way_that_cannot_be_followed_is_an_error(
    name: str, environ: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "home/.config/containers" / name
    path.parent.mkdir(parents=True)
    _make_loop(path)

    with pytest.raises(LocalError, match="symbolic links"):
        load_rules(environ)


def test_folders_and_other_names_among_the_drop_ins_are_passed_over(environ: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "home/.config/containers/registries.conf.d"
    (folder / "folder.conf").mkdir(parents=True)
    write(folder / "old.conf.bak", "no [toml")
    write(folder / ".conf", '[[registry]]\nlocation = "r.example"\n')

    assert [rule.prefix for rule in load_rules(environ).rules] == ["r.example"]


@pytest.mark.parametrize("kind", ["missing", "file", "main-link-to-nothing"])
def test_what_cannot_be_there_is_no_error(kind: str, environ: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "home/.config/containers"
    match kind:
        case "file":
            write(folder / "registries.conf.d", "")
        case "main-link-to-nothing":
            folder.mkdir(parents=True)
            _make_dangling_link(folder / "registries.conf")
    assert load_rules(environ).rules == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="changes to another user")
@pytest.mark.parametrize(
    ("closed", "message"),
    [
        ("home", ""),
        ("home/.config", ""),
        ("home/.config/containers", r"registries\.conf: Permission denied"),
        ("home/.config/containers/registries.conf.d", r"registries\.conf\.d: Permission denied"),
        ("home/.config/containers/registries.conf.d/1.conf", r"1\.conf: Permission denied"),
    ],
)
def test_a_closed_home_has_no_files_and_a_closed_file_in_an_open_one_is_an_error(
    closed: str, message: str, environ: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path / "home/.config/containers/registries.conf.d/1.conf", '[[registry]]\nlocation = "r.example"\n')
    (tmp_path / closed).chmod(0)
    modes = {parent: stat.S_IMODE(parent.stat().st_mode) for parent in (tmp_path, *tmp_path.parents)}
    private = {parent: mode for parent, mode in modes.items() if mode & 0o011 != 0o011}
    for parent, mode in private.items():
        parent.chmod(mode | 0o011)
    os.seteuid(65534)
    try:
        with pytest.raises(LocalError, match=message) if message else contextlib.nullcontext():
            assert load_rules(environ).rules == ()
    finally:
        os.seteuid(0)
        for parent, mode in private.items():
            parent.chmod(mode)
