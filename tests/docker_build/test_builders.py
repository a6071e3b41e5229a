"""Builds by an engine's build API, with an engine of the tests' own; BuildKit with a docker command of their own."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_convert.docker_build import buildx
from eci_convert.docker_build.builders import BUILDERS, build
from eci_convert.docker_build.engine_api import credentials
from eci_convert.docker_build.request import BuildRequest
from eci_convert.errors import (
    AccessDeniedError,
    CannotHoldError,
    LimitExceededError,
    LocalError,
    NotFoundError,
    TransportError,
    UsageError,
)
from eci_convert.model import Artifact, DiskType
from eci_convert.oci.platform import Platform
from eci_convert.reading.local_parts import Disk, artifact_from_parts
from eci_convert.transports.settings import Settings
from tests.support.fake_docker import ADocker, AnImage, Handler, a_docker
from tests.support.images import files_in

ARM = Platform(os="linux", architecture="arm64")


@pytest.fixture
def docker() -> Iterator[ADocker]:
    with tempfile.TemporaryDirectory() as directory, a_docker(Path(directory)) as engine:
        yield engine


def a_machine(folder: Path, root: str = "root.img") -> Artifact:
    folder.mkdir(exist_ok=True)
    (folder / "vmlinuz").write_bytes(b"kernel")
    (folder / root).write_bytes(b"root" * 1000)
    return artifact_from_parts(
        kernel=folder / "vmlinuz", root=Disk(content=folder / root, type=DiskType.RAW, trust_declared_type=True)
    )


def with_login(folder: Path, **config: object) -> dict[str, str]:
    (folder / "config.json").write_text(json.dumps(config))
    return {"DOCKER_CONFIG": str(folder)}


def a_login(word: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"me:{word}".encode()).decode()}


# the order


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({}, "of one of the two"),
        ({"file": Path("Dockerfile"), "artifact": artifact_from_parts(kernel=b"k")}, "of one of the two"),
        ({"file": Path("Dockerfile"), "base": "alpine"}, "which image it starts from"),
        ({"artifact": artifact_from_parts(kernel=b"k"), "context": Path()}, "a context is of use to a Dockerfile only"),
        ({"artifact": artifact_from_parts(kernel=b"k"), "name": "x@sha256:" + 64 * "0"}, "not under a digest"),
        ({"artifact": artifact_from_parts(kernel=b"k"), "name": "UPPER"}, "must be lowercase"),
    ],
)
def test_an_order_that_contradicts_itself_is_a_mistake(words: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        BuildRequest(**{"name": "x", **words})  # type: ignore[arg-type]


def test_an_unknown_builder_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="kaniko"):
        build(BuildRequest(name="x", artifact=artifact_from_parts(kernel=b"k")), Settings(), builder="kaniko")


# the engine's builder


def test_the_parts_go_to_the_engine_under_constant_names(docker: ADocker, tmp_path: Path) -> None:
    artifact = a_machine(tmp_path, "a $(root) *.img")

    identity = build(BuildRequest(name="machine", artifact=artifact), docker.settings(), builder="docker")

    [context] = docker.builds
    text = context.pop("Dockerfile").decode()
    assert context == {"kernel": b"kernel", "disk-root": b"root" * 1000}
    assert 'COPY ["kernel", "/kernel"]' in text
    assert 'COPY ["disk-root", "/disk-root-a \\\\$(root) *.img"]' in text
    assert identity == docker.identity(docker.images["machine:latest"])
    assert docker.queries["POST build"]["t"] == "machine:latest"


def test_labels_of_any_text_go_beside_the_dockerfile(docker: ADocker, tmp_path: Path) -> None:
    order = BuildRequest(name="machine", artifact=a_machine(tmp_path), labels={"a": "two\nlines $x"})

    build(order, docker.settings(), builder="docker")

    assert json.loads(docker.queries["POST build"]["labels"]) == {"a": "two\nlines $x"}
    assert b"two" not in docker.builds[0]["Dockerfile"]


def test_the_context_is_archived_while_it_is_sent(docker: ADocker, tmp_path: Path) -> None:
    """No file and no memory holds it: the engine has half of a disk before the other half is read."""
    disk = tmp_path / "root.img"
    with disk.open("wb") as file:
        file.truncate(64 << 20)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    arrived = threading.Event()
    seen: set[Path] = set()

    def slowly(handler: Handler) -> None:
        some_of(handler, 16 << 20)
        seen.update(temporary.iterdir())
        arrived.set()
        handler.body()
        handler.tell({"error": "that will do"})

    docker.instead["POST build"] = slowly
    order = BuildRequest(name="machine", artifact=artifact_from_parts(root=Disk(content=disk, type=DiskType.RAW)))
    settings = docker.settings(environ={**docker.environ, "TMPDIR": str(temporary)})
    with pytest.raises(TransportError, match="will do"):
        build(order, settings, builder="docker")

    assert arrived.is_set()
    assert not seen


def some_of(handler: Handler, size: int) -> None:
    """Takes *size* bytes of a request's body, or a few more."""
    while size > 0:
        size -= len(handler.rfile.read(int(handler.rfile.readline(), 16)))
        handler.rfile.readline()


def test_a_file_that_changes_meanwhile_stops_the_build(docker: ADocker, tmp_path: Path) -> None:
    disk = tmp_path / "root.img"
    disk.write_bytes(bytes(16 << 20))

    def changing(handler: Handler) -> None:
        some_of(handler, 1 << 20)
        disk.write_bytes(b"shorter")
        handler.post_build()

    docker.instead["POST build"] = changing
    order = BuildRequest(name="machine", artifact=artifact_from_parts(root=Disk(content=disk, type=DiskType.RAW)))

    with pytest.raises(LocalError, match="was truncated"):
        build(order, docker.settings(), builder="docker")

    assert docker.builds == []


@pytest.mark.parametrize(
    ("event", "error", "says"),
    [
        ({"errorDetail": {"message": "COPY failed: no such file"}, "error": "COPY"}, TransportError, "no such file"),
        ({"error": "pull access denied for x, repository does not exist"}, AccessDeniedError, "pull access denied"),
        ({"stream": "Step 1/1: FROM scratch"}, TransportError, "ended without an image"),
    ],
)
def test_a_build_that_fails_is_an_error_though_its_status_was_200(
    docker: ADocker, tmp_path: Path, event: object, error: type[Exception], says: str
) -> None:
    docker.images["machine:latest"] = AnImage(b'{"rootfs": {"diff_ids": []}}', [])

    def failing(handler: Handler) -> None:
        handler.body()
        handler.tell(event)

    docker.instead["POST build"] = failing

    with pytest.raises(error, match=says):
        build(BuildRequest(name="machine", artifact=a_machine(tmp_path)), docker.settings(), builder="docker")


def test_what_the_builder_says_is_passed_on(docker: ADocker, tmp_path: Path) -> None:
    lines: list[str] = []

    build(
        BuildRequest(name="machine", artifact=a_machine(tmp_path)),
        docker.settings(),
        builder="docker",
        log=lines.append,
    )

    assert lines == ["Step 1/2 : FROM scratch", "Successfully built it"]


def test_another_platform_than_the_one_asked_for_is_an_error(docker: ADocker, tmp_path: Path) -> None:
    order = BuildRequest(name="machine", artifact=a_machine(tmp_path), platforms=(ARM,))

    with pytest.raises(CannotHoldError, match="linux/amd64"):
        build(order, docker.settings(), builder="docker")

    assert docker.queries["POST build"]["platform"] == "linux/arm64"


@pytest.mark.parametrize("platforms", [(), (ARM,)])
def test_an_engine_that_caches_for_another_platform_is_asked_again(
    docker: ADocker, tmp_path: Path, platforms: tuple[Platform, ...]
) -> None:
    """Docker 20.10's classic builder takes from its cache what was built for any platform."""
    asked: list[str] = []

    def caching(handler: Handler) -> None:
        asked.append(handler.query["nocache"])
        right = "arm64" if platforms else "amd64"
        docker.builds_for = right if handler.query["nocache"] in ("1", "True") else "s390x"
        handler.post_build()

    docker.instead["POST build"] = caching

    identity = build(
        BuildRequest(name="machine", artifact=a_machine(tmp_path), platforms=platforms),
        docker.settings(),
        builder="docker",
    )

    assert asked == ["False", "True"]
    assert identity == docker.identity(docker.images["machine:latest"])


@pytest.mark.parametrize("words", [{"annotations": {"a": "b"}}, {"platforms": (ARM, ARM)}])
def test_what_this_builder_cannot_do_is_told_before_anything_is_sent(
    docker: ADocker, tmp_path: Path, words: dict[str, object]
) -> None:
    order = BuildRequest(name="machine", artifact=a_machine(tmp_path), **words)  # type: ignore[arg-type]

    with pytest.raises(UsageError) as caught:
        build(order, docker.settings(), builder="docker")

    assert "buildx" in caught.value.__notes__[0]
    assert docker.log == []


# credentials


def test_an_image_from_scratch_needs_no_credentials(docker: ADocker, tmp_path: Path) -> None:
    environ = with_login(tmp_path, auths={"r.example": a_login("secret")}, credsStore="broken")
    settings = docker.settings(environ={**docker.environ, **environ})

    build(BuildRequest(name="machine", artifact=a_machine(tmp_path)), settings, builder="docker")

    assert "X-Registry-Config" not in docker.headers["POST build"]


def test_the_credentials_for_the_base_are_sent_and_no_others(docker: ADocker, tmp_path: Path) -> None:
    logins = {host: a_login(f"secret of {host}") for host in ("r.example", "other.example", "r.example:5000")}
    environ = with_login(tmp_path, auths=logins)
    settings = docker.settings(environ={**docker.environ, **environ})

    build(
        BuildRequest(name="machine", artifact=a_machine(tmp_path), base="r.example/base:1"), settings, builder="docker"
    )

    sent = json.loads(base64.urlsafe_b64decode(docker.headers["POST build"]["X-Registry-Config"]))
    assert sent == {"r.example": {"username": "me", "password": "secret of r.example", "serveraddress": "r.example"}}


def test_a_broken_helper_does_not_break_the_build(docker: ADocker, tmp_path: Path) -> None:
    environ = with_login(tmp_path, credsStore="nothing-of-this-name")
    settings = docker.settings(environ={**docker.environ, **environ, "PATH": str(tmp_path)})

    build(BuildRequest(name="machine", artifact=a_machine(tmp_path), base="alpine:3"), settings, builder="docker")

    assert docker.builds


@pytest.mark.parametrize(
    ("dockerfile", "hosts"),
    [
        ("FROM scratch", set()),
        ("FROM r.example/x", {"r.example"}),
        ("from --platform=linux/arm64 r.example/x AS stage\nFROM stage\nCOPY --from=stage /a /b", {"r.example"}),
        ("FROM scratch\nCOPY --chown=1:1 --from=other.example/y:1 /a /b", {"other.example"}),
        ("FROM scratch AS a\nFROM scratch\nCOPY --from=0 /a /b", set()),
        ("ARG X\nFROM $X", set()),
        ("FROM alpine", {"https://index.docker.io/v1/"}),
    ],
)
def test_a_dockerfile_says_which_registries_are_asked(tmp_path: Path, dockerfile: str, hosts: set[str]) -> None:
    names = ("r.example", "other.example", "https://index.docker.io/v1/")
    environ = with_login(tmp_path, auths={name: a_login("x") for name in names})

    assert set(credentials(dockerfile, Settings(environ=environ))) == hosts


def test_one_login_is_not_told_the_registries_of_two_images() -> None:
    settings = Settings(username="me", password="pw", environ={})
    dockerfile = "FROM r.example/x AS a\nFROM r.example/y\nCOPY --from=other.example/y:1 /a /b"
    with pytest.raises(UsageError, match=r"both r\.example and other\.example"):
        credentials(dockerfile, settings)
    assert set(credentials("FROM r.example/x AS a\nFROM r.example/y", settings)) == {"r.example"}


# a Dockerfile of the user's


def test_a_folder_is_sent_without_what_it_ignores(docker: ADocker, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("Dockerfile", "kernel", "secret.key", "sub/more", "sub/x.log"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / ".dockerignore").write_text("# a comment\n*.key\n**/*.log\n")
    (tmp_path / "link").symlink_to("kernel")

    build(BuildRequest(name="machine", file=tmp_path / "Dockerfile"), docker.settings(), builder="docker")

    [context] = docker.builds
    assert set(context) == {"Dockerfile", ".dockerignore", "kernel", "sub", "sub/more", "link"}
    assert context["sub/more"] == b"sub/more"
    assert docker.queries["POST build"]["dockerfile"] == "Dockerfile"


def test_a_dockerfile_from_elsewhere_is_sent_and_not_copied(docker: ADocker, tmp_path: Path) -> None:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "kernel").write_bytes(b"kernel")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")

    build(
        BuildRequest(name="machine", file=tmp_path / "Dockerfile", context=folder), docker.settings(), builder="docker"
    )

    [context] = docker.builds
    name = docker.queries["POST build"]["dockerfile"]
    assert context[name] == b"FROM scratch\nCOPY . /\n"
    assert name in context[".dockerignore"].decode().splitlines()


def test_a_dockerfile_in_a_folder_below_is_found_there(docker: ADocker, tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/My.Dockerfile").write_text("FROM scratch\n")

    build(
        BuildRequest(name="machine", file=tmp_path / "docker/My.Dockerfile", context=tmp_path),
        docker.settings(),
        builder="docker",
    )

    assert docker.queries["POST build"]["dockerfile"] == "docker/My.Dockerfile"
    assert docker.builds[0]["docker/My.Dockerfile"] == b"FROM scratch\n"


def test_what_is_no_file_is_passed_over_with_a_warning(docker: ADocker, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    os.mkfifo(tmp_path / "pipe")

    build(BuildRequest(name="machine", file=tmp_path / "Dockerfile"), docker.settings(), builder="docker")

    assert "pipe" not in docker.builds[0]


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_dockerfile_that_is_not_there_is_not_found(docker: ADocker, tmp_path: Path, builder: str) -> None:
    with pytest.raises(NotFoundError, match="Dockerfile"):
        build(BuildRequest(name="machine", file=tmp_path / "Dockerfile"), docker.settings(), builder=builder)
    with pytest.raises(NotFoundError, match="no such folder"):
        build(
            BuildRequest(name="machine", file=tmp_path / "Dockerfile", context=tmp_path / "none"),
            docker.settings(),
            builder=builder,
        )


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_dockerfile_too_long_to_read_is_refused_and_not_cut(docker: ADocker, tmp_path: Path, builder: str) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n" + "#" * (4 << 20))

    with pytest.raises(LimitExceededError, match="Dockerfile"):
        build(BuildRequest(name="machine", file=tmp_path / "Dockerfile"), docker.settings(), builder=builder)

    assert not docker.builds


# BuildKit

FAKE = """\
#!{python}
import json, os, shutil, sys
words = sys.argv[1:]
if "inspect" in words:
    print("Name: default\\nDriver: docker\\nNodes:\\nName: default\\n"); sys.exit()
context = words[-1]
found = {{name: open(os.path.join(context, name)).read() for name in sorted(os.listdir(context))}}
file = words[words.index("--file") + 1]
json.dump({{"words": words, "files": found, "dockerfile": open(file).read()}}, open({log!r}, "w"))
sys.stderr.write({said!r})
sys.exit({status})
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a docker command of our own says what it was asked."""
    a_command(tmp_path, monkeypatch)
    return tmp_path / "log"


def a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str = "", status: int = 0) -> None:
    (tmp_path / "bin").mkdir(exist_ok=True)
    program = tmp_path / "bin/docker"
    program.write_text(FAKE.format(python=sys.executable, log=str(tmp_path / "log"), said=said, status=status))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")


def settings_for(docker: ADocker, tmp_path: Path) -> Settings:
    (tmp_path / "temporary").mkdir(exist_ok=True)
    config = b'{"os": "linux", "architecture": "arm64", "rootfs": {"diff_ids": []}}'
    docker.images["machine:latest"] = AnImage(config, [])
    return docker.settings(environ={**docker.environ, "TMPDIR": str(tmp_path / "temporary")})


def test_buildx_is_given_a_folder_of_links_that_goes_again(docker: ADocker, tmp_path: Path, log: Path) -> None:
    artifact = a_machine(tmp_path / "parts")
    order = BuildRequest(name="machine", artifact=artifact, labels={"a": "two\nlines"}, platforms=(ARM,), created=17)

    identity = build(order, settings_for(docker, tmp_path), builder="buildx")

    asked = json.loads(log.read_text())
    words = asked["words"]
    assert set(asked["files"]) == {"kernel", "disk-root-root.img", ".dockerignore"}
    assert "COPY" in asked["dockerfile"]
    assert words[words.index("--label") + 1] == "a=two\nlines"
    assert words[words.index("--platform") + 1] == "linux/arm64"
    assert words[words.index("--build-arg") + 1] == "SOURCE_DATE_EPOCH=17"
    assert words[words.index("--tag") + 1] == "machine:latest"
    assert words[words.index("--host") + 1] == docker.environ["DOCKER_HOST"]
    assert "--provenance=false" in words
    assert identity == docker.identity(docker.images["machine:latest"])
    assert files_in(tmp_path / "temporary") == {}


def test_annotations_are_written_as_csv_has_them(docker: ADocker, tmp_path: Path, log: Path) -> None:
    order = BuildRequest(
        name="machine", artifact=a_machine(tmp_path / "parts"), annotations={"a": 'one, "two"', "b": "c"}
    )

    build(order, settings_for(docker, tmp_path), builder="buildx")

    words = json.loads(log.read_text())["words"]
    output = words[words.index("--output") + 1]
    assert output == 'type=docker,oci-mediatypes=true,"annotation.a=one, ""two""",annotation.b=c'


def test_buildx_writes_an_archive_of_any_name(docker: ADocker, tmp_path: Path, log: Path) -> None:
    order = BuildRequest(name="machine", artifact=a_machine(tmp_path / "parts"))

    assert buildx.build(order, settings_for(docker, tmp_path), str, archive=tmp_path / "a, b.tar") == ""

    words = json.loads(log.read_text())["words"]
    assert f'"dest={tmp_path}/a, b.tar"' in words[words.index("--output") + 1]


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ("docker: 'buildx' is not a docker command.\n", UsageError, "buildx"),
        ("ERROR: Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?\n", TransportError,
         "Cannot connect"),
        (
            "ERROR: permission denied while trying to connect to the Docker daemon socket\n",
            AccessDeniedError,
            "permission",
        ),
        ("#1 step\nERROR: failed to solve: it\n", TransportError, "failed to solve"),
        ("", TransportError, "does not say why"),
    ],
)  # fmt: skip
def test_what_buildx_fails_with_is_told_in_one_line(
    docker: ADocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, error: type[Exception], words: str
) -> None:
    a_command(tmp_path, monkeypatch, said, 1)
    order = BuildRequest(name="machine", artifact=a_machine(tmp_path / "parts"))

    with pytest.raises(error, match=words):
        build(order, settings_for(docker, tmp_path), builder="buildx")

    assert files_in(tmp_path / "temporary") == {}


def test_without_a_docker_command_there_is_a_hint(
    docker: ADocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UsageError, match="docker") as caught:
        build(BuildRequest(name="m", artifact=a_machine(tmp_path)), settings_for(docker, tmp_path), builder="buildx")

    assert "direct" in caught.value.__notes__[0]
