"""Where images are looked for: the default transport, podman's socket, and what is told of names that are not there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import eci_convert as ec
from eci_convert.errors import UsageError
from eci_convert.transports import default_transport
from eci_convert.transports.docker_daemon import endpoint
from eci_convert.transports.docker_daemon.podman_socket import accepts_connections, podman_socket
from tests.cli.conftest import Parts
from tests.support.command_line import Run, one_line
from tests.support.fake_docker import a_docker
from tests.support.fake_registry.server import a_registry

BARE = [["extract", "a:1", "{out}"], ["inspect", "a:1"], ["verify", "a:1"], ["ls", "a:1"], ["diff", "a:1", "a:1"]]


@pytest.mark.parametrize("words", BARE, ids=lambda words: words[0])
@pytest.mark.parametrize("spelling", ["containers-storage", "containers-storage:"])
def test_a_bare_name_is_where_the_user_prefers(
    spelling: str, words: list[str], run: Run, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_DRIVER", "vfs")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(tmp_path / "storage.conf"))
    (tmp_path / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/store"\nrunroot = "/x"\n'
    )
    monkeypatch.setenv("ECI_CONVERT_DEFAULT_TRANSPORT", spelling)

    identity = run("build", "--kernel", parts.kernel, "-t", "a:1").out

    assert identity.startswith("sha256:")
    assert (tmp_path / "store/vfs-images").is_dir()
    run(*(word.format(out=tmp_path / "out") for word in words))


def test_a_default_transport_that_is_none_gets_the_closest(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECI_CONVERT_DEFAULT_TRANSPORT", "container-storage")
    said = run("inspect", "a:1", exits=2)
    one_line(said, "ECI_CONVERT_DEFAULT_TRANSPORT", "container-storage")
    assert "did you mean 'containers-storage'?" in said.err
    assert default_transport({"ECI_CONVERT_DEFAULT_TRANSPORT": "docker://"}) == "docker"
    with pytest.raises(UsageError, match="ECI_CONVERT_DEFAULT_TRANSPORT is 'nonsense'"):
        default_transport({"ECI_CONVERT_DEFAULT_TRANSPORT": "oci"} | {"ECI_CONVERT_DEFAULT_TRANSPORT": "nonsense"})


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A computer without a Docker engine, and a directory for podman's socket."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "CONTAINER_HOST", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(endpoint, "DEFAULT_SOCKET", f"unix://{tmp_path}/no/docker.sock")
    monkeypatch.setattr("eci_convert.transports.docker_daemon.podman_socket._SYSTEM", str(tmp_path / "no/podman.sock"))
    folder = tmp_path / "podman"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("variable", ["CONTAINER_HOST", "XDG_RUNTIME_DIR"])
def test_podmans_socket_is_used_where_docker_is_not_and_that_is_said(
    variable: str, no_docker: Path, run: Run, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_docker(no_docker) as podman:
        podman.components = ("Podman Engine",)
        (no_docker / "podman.sock").symlink_to(podman.path)
        value = f"unix://{podman.path}" if variable == "CONTAINER_HOST" else str(no_docker.parent)
        monkeypatch.setenv(variable, value)

        run("build", "--kernel", parts.kernel, "-t", "a:1")
        said = run("inspect", "a:1", "-v")

        assert podman.images
        assert "using podman's socket unix://" in said.err
        assert "podman's socket" not in run("inspect", "a:1").err
        assert "`podman pull b:1`" in run("inspect", "b:1", exits=4).err


def test_without_docker_and_podman_the_error_names_both_ways_and_the_store(no_docker: Path, run: Run) -> None:
    said = run("inspect", "a:1", exits=3)
    one_line(said, "docker.sock")
    for word in ("DOCKER_HOST", "podman.socket", "CONTAINER_HOST", "containers-storage:NAME"):
        assert word in said.err


def test_a_socket_that_nobody_listens_at_is_none(no_docker: Path) -> None:
    path = no_docker / "podman.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    assert not accepts_connections(f"unix://{path}")
    assert podman_socket({"XDG_RUNTIME_DIR": str(no_docker.parent), "CONTAINER_HOST": "ssh://me@host/sock"}) == ""


def test_a_docker_engine_goes_before_podman(no_docker: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_docker(no_docker) as docker:
        monkeypatch.setattr(endpoint, "DEFAULT_SOCKET", f"unix://{docker.path}")
        monkeypatch.setenv("CONTAINER_HOST", "unix:///nowhere/podman.sock")
        run("inspect", "a:1", exits=4)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("my-machne:1", "'my-machine:1'"),
        ("layout:a", "the image layout 'layout' is oci:layout:a"),
        ("image.tar", "oci-archive:image.tar"),
        ("registry.example/x:1", "docker://registry.example/x:1"),
        ("contaniers-storage:x", "did you mean 'containers-storage:x'?"),
    ],
)
def test_what_the_engine_does_not_have_gets_the_hint_that_fits(
    name: str, hint: str, run: Run, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("push", "--remote", tmp_path / "layout", "a", "--kernel", parts.kernel)
    (tmp_path / "image.tar").write_bytes(b"")
    with a_docker(tmp_path) as docker:
        monkeypatch.setenv("DOCKER_HOST", docker.environ["DOCKER_HOST"])
        run("build", "--kernel", parts.kernel, "-t", "my-machine:1")
        said = run("inspect", name, exits=4)
    assert hint in said.err


@pytest.mark.parametrize("command", ["extract", "inspect", "verify", "copy", "pull", "pullfiles", "index create"])
def test_a_tag_that_a_registry_does_not_have_gets_the_nearest(
    command: str, run: Run, parts: Parts, tmp_path: Path
) -> None:
    with a_registry() as registry:
        for tag in ("1.2.3", "1.2.4", "latest"):
            run("push", f"{registry.host}/edge/machine:{tag}", "--kernel", parts.kernel)
        registry.requests.clear()
        reference = f"docker://{registry.host}/edge/machine:1.2.5"
        every: dict[str, list[str | Path]] = {
            "copy": ["copy", reference, f"oci:{tmp_path}/l:a"],
            "pullfiles": ["pullfiles", reference, "--kernel", tmp_path / "k"],
            "index create": ["index", "create", f"oci:{tmp_path}/l:a", reference],
        }
        words = every.get(command, [command, reference])
        said = run(*words, exits=4)
        assert "hint: the repository has " in said.err
        assert "'1.2.3'" in said.err
        assert "'1.2.4'" in said.err
        assert len([request for request in registry.requests if "tags/list" in request.path]) == 1


def test_a_push_asks_for_no_tags_and_a_registry_that_tells_none_is_no_second_error(
    run: Run, parts: Parts, tmp_path: Path
) -> None:
    with a_registry() as registry:
        run("push", f"{registry.host}/edge/machine:1", "--kernel", parts.kernel)
        assert not [request for request in registry.requests if "tags" in request.path]
        said = run("inspect", f"docker://{registry.host}/edge/other:1", exits=4)
        one_line(said, "not found")


@pytest.mark.parametrize(
    ("words", "closest"),
    [(["inspct", "x"], "'inspect'"), (["index", "crate"], "'create'"), (["help", "copi"], "'copy'"),
     (["cnab", "psh"], "'push'"), (["inspect", "x", "--jsn"], "--json"), (["xyzzy"], "")],
    ids=str,
)  # fmt: skip
def test_a_mistyped_word_gets_the_closest(words: list[str], closest: str, run: Run) -> None:
    said = run(*words, exits=2)
    one_line(said, closest)
    assert ("Did you mean" in said.err) is bool(closest)


def test_help_and_version_are_commands_too(run: Run) -> None:
    assert run("help", "index", "add").out == run("index", "add", "--help").out
    assert run("help").out == run("--help").out == run().out
    assert run("version").out == run("--version").out
    assert run("version", "-h").out.startswith("Usage: eci-convert version")


def test_the_version_needs_next_to_nothing() -> None:
    program = "import sys; from eci_convert.cli import main; main(['version']); print(*sys.modules)"
    environ = {"PYTHONPATH": os.pathsep.join(sys.path)}
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environ
    ).stdout
    assert "eci_convert._version" in loaded
    assert not {"click", "difflib", "logging", "rich", "docker"} & set(loaded.split())


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("localhost/machine:11", "the store has 'localhost/machine:1'"),
        ("machine", "the store has 'localhost/machine:1'"),
        ("layout:a", "the image layout 'layout' is oci:layout:a"),
        ("oci-archve:a.tar", "did you mean 'oci-archive:a.tar'?"),
    ],
)
def test_what_podmans_store_does_not_have_gets_the_hint_that_fits(
    name: str, hint: str, run: Run, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("build", "--kernel", parts.kernel, "--to", "oci:layout:a")
    store = f"containers-storage:[vfs@{tmp_path}/store+/x]"
    run("build", "--kernel", parts.kernel, "--to", f"{store}localhost/machine:1")
    said = run("inspect", f"{store}{name}", exits=4)
    assert f"hint: {hint}" in said.err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["inspect", "ocii:layout:a"], "oci:layout:a"),
        (["inspect", "OCI:layout:a"], "oci:layout:a"),
        (["extract", "docker:localhost:5000/edge/machine:1", "out"], "docker://localhost:5000/edge/machine:1"),
        (["ls", "docker:/localhost:5000/edge/machine:1"], "docker://localhost:5000/edge/machine:1"),
        (["pull", "ocii:layout:a"], "oci:layout:a"),
        (["push", "ocii:layout:a", "--kernel", "k"], "oci:layout:a"),
    ],
)
def test_a_misspelt_transport_that_is_no_name_gets_the_closest(
    words: list[str], meant: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "k").write_bytes(b"kernel")
    said = run(*words, exits=2)
    assert f"hint: did you mean {meant!r}?" in said.err


def test_the_library_tells_the_nearest_tags_too(run: Run, parts: Parts, tmp_path: Path) -> None:
    with a_registry() as registry:
        image = f"{registry.host}/edge/machine:1.2.3"
        run("push", image, "--kernel", parts.kernel)
        run("attach", image, parts.kernel, "--artifact-type", "a/b")  # under a tag that is no name of an image
        reference = f"docker://{registry.host}/edge/machine:1.2.5"
        for read in (
            lambda: ec.inspect(reference),
            lambda: ec.open_image(reference),
            lambda: ec.extract(reference, tmp_path / "out"),
            lambda: ec.verify(reference),
            lambda: ec.copy(reference, f"oci:{tmp_path}/l:a"),
            lambda: ec.create_index(f"oci:{tmp_path}/l:a", [reference]),
            lambda: ec.blob_url(reference),
        ):
            with pytest.raises(ec.NotFoundError) as caught:
                read()
            assert caught.value.hint == "the repository has tags such as '1.2.3'"


@pytest.mark.parametrize("name", ["oci:layout:a", "ocii:layout:a", "docker://localhost:5000/edge/machine:1"])
def test_a_reference_for_a_name_in_the_engine_gets_the_other_option(name: str, run: Run, parts: Parts) -> None:
    said = run("build", "-t", name, "--kernel", parts.kernel, exits=2)
    assert f"hint: -t takes a name in the engine; elsewhere goes --to {name.replace('ocii', 'oci')}" in said.err


def test_a_name_is_built_in_a_registry_where_the_user_prefers_one(
    run: Run, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECI_CONVERT_DEFAULT_TRANSPORT", "docker")
    with a_registry() as registry:
        run("build", "-t", f"{registry.host}/edge/machine:1", "--kernel", parts.kernel)
        run("inspect", f"{registry.host}/edge/machine:1")
