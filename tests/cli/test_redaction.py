"""No secret comes back: what the user typed into a URL is told to nobody, in a message, a log or a traceback."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_convert.cli import common_options, progress
from eci_convert.errors import EciError, FormatError, TransportError, UsageError
from eci_convert.oci.reference import Reference
from eci_convert.progress import warn
from eci_convert.redaction import redacted, redacted_host, secrets_in
from eci_convert.transports.docker_daemon import endpoint
from eci_convert.transports.registry.http.proxies import proxy_for
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.settings import Settings
from tests.support.command_line import Run

PASSWORDS = ["hunter2", "hunter2/x", "hun@ter2", "hunter2?x", "hunter2#x", "hunter2:9", "%68unter2", "hunter2]"]
SECRET = "unter2"
DIGEST = "sha256:" + 64 * "0"


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_in_a_url_is_not_repeated(password: str) -> None:
    for text in (f"http://robot:{password}@h:1/x failed", f"'https://robot:{password}@h' is none", f"//{password}@h"):
        assert SECRET not in redacted(text)
        assert "h" in redacted(text)


@pytest.mark.parametrize(
    "text",
    [f"docker://r.io:5000/a/b@{DIGEST}", f"//r.io/a:1@{DIGEST}: not found", "me@example.com", "ssh://me@host", "a//b",
     f"oci:/layout:@{DIGEST}", "https://r.io/v2/ and me@x"],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


def test_a_digest_behind_a_password_stays() -> None:
    assert redacted(f"https://u:hunter2@r.io/a@{DIGEST}") == f"https://***@r.io/a@{DIGEST}"


@given(st.text(max_size=30).filter(lambda text: not set(text) & set("\"'<>|`") and text == "".join(text.split())))
def test_any_user_information_goes(secret: str) -> None:
    assert redacted(f"see https://x:{secret}SECRET@h/y") == "see https://***@h/y"


def test_redacting_is_linear() -> None:
    for text in ("//" * 500_000 + f"@{DIGEST}", f"@{DIGEST}" * 20_000, "http://" + "a@" * 500_000):
        redacted(text)


def test_an_error_repeats_no_password() -> None:
    errors = [EciError("https://u:hunter2@h"), FormatError("x", where="https://u:hunter2@h"), TransportError()]
    errors[0].add_note("hint: see https://u:hunter2@h")
    assert "hunter2" not in f"{errors} {errors[0].__notes__}"


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_proxy_s_password_is_in_no_exception_of_a_chain(password: str) -> None:
    for scheme in ("http://", "https://", "socks5://", "ftp://", ""):
        text = f"{scheme}robot:{password}@127.0.0.1:9"
        assert SECRET not in outcome(partial(proxy_for, Url.parse("https://r.io"), {"https_proxy": text}))


@pytest.mark.parametrize("password", PASSWORDS)
def test_the_engine_s_address_is_told_without_its_password(password: str) -> None:
    from eci_convert.transports.docker_daemon.client import EngineClient

    def shown_host(found: endpoint.Endpoint) -> str:
        return EngineClient(found, 1.0).host

    for scheme in ("tcp://", "http://", "https://", "", "ssh://"):
        found = endpoint.find({"DOCKER_HOST": f"{scheme}robot:{password}@127.0.0.1:9"})
        assert SECRET not in f"{found.shown} {found!r}"
        assert SECRET not in outcome(partial(shown_host, found))


@pytest.mark.parametrize("text", ["robot:hunter2@registry.example", "https://robot:hunter2@r.io/x", "a@hunter2/b:1"])
def test_a_reference_with_a_password_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Reference.parse(text)
    assert SECRET not in chain(caught.value)


def test_a_location_with_a_password_is_not_repeated() -> None:
    for text in ("http://u:hunter2@h/", "http://u:hunter2/x@h/", "http://u:hunter2 x@h/", "ftp://u:hunter2@h"):
        with pytest.raises(TransportError) as caught:
            Url.parse(text)
        assert SECRET not in chain(caught.value)


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        (["inspect", "docker://registry.invalid/x:1"], {"HTTPS_PROXY": "http://robot:hunter2/x@127.0.0.1:9"}),
        (["inspect", "docker://registry.invalid/x:1"], {"HTTPS_PROXY": "https://robot:hunter2@127.0.0.1:9"}),
        (["inspect", "docker://registry.invalid/x:1"], {"HTTPS_PROXY": "robot:hunter2@127.0.0.1:9"}),
        (["inspect", "docker-daemon:x"], {"DOCKER_HOST": "tcp://robot:hunter2@127.0.0.1:9"}),
        (["inspect", "docker-daemon:x"], {"DOCKER_HOST": "tcp://robot:hunter2/x@127.0.0.1:9"}),
        (["inspect", "docker-daemon:x"], {"DOCKER_HOST": "robot:hunter2@127.0.0.1:9"}),
        (["inspect", "https://robot:hunter2@registry.example/x"], {}),
        (["copy", "https://robot:hunter2@registry.example/x", "oci:x"], {}),
        (["copy", "oci:x", "https://robot:hunter2@registry.example/x"], {}),
        (["pull", "x", "--remote", "https://robot:hunter2@registry.example"], {}),
        (["pull", "https://robot:hunter2@registry.example/x"], {}),
        (["inspect", "containerd:x", "--address", "tcp://robot:hunter2@h"], {}),
        (["inspect", "x", "https://robot:hunter2@registry.example/x"], {}),
        (["inspect", "x"], {"ECI_CONVERT_AUTHFILE": "https://robot:hunter2@h/x"}),
    ],
)
@pytest.mark.parametrize("more", [[], ["--debug"], ["--json"], ["--progress", "json"]])
def test_no_command_line_tells_a_password_back(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    environ: dict[str, str],
    more: list[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["eci-convert", *words, *more])
    code, out, err = run.anyhow(*words, *more, "--retries", "0")
    assert code
    assert "hunter2" not in out + err


def test_no_log_line_tells_a_password_back(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers.clear()
    monkeypatch.setenv("HTTPS_PROXY", "http://robot:hunter2/x@h")
    try:
        common_options.log_to_stderr(logging.DEBUG)
        try:
            raise ValueError("no port: 'hunter2'")
        except ValueError:
            logging.getLogger("other").exception("https://u:other%s@h", "-secret")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "hunter2" not in said
    assert "other-secret" not in said


@pytest.mark.parametrize("style", ["plain", "json", "none", "auto"])
def test_a_warning_repeats_no_password(capsys: pytest.CaptureFixture[str], style: str) -> None:
    warn(progress.reporter(style, quiet=False), "see https://u:hunter2@h/x")
    said = capsys.readouterr()
    assert "***@h/x" in said.err
    assert SECRET not in said.out + said.err


def test_a_password_is_known_in_the_pieces_that_a_parser_makes_of_it() -> None:
    known = secrets_in({"HTTPS_PROXY": "http://robot:hunter2%2Fxyzzy/abc@h"})
    assert {"hunter2%2Fxyzzy/abc", "hunter2/xyzzy/abc", "hunter2", "xyzzy"} <= set(known)
    assert "robot" not in known
    assert secrets_in({"PATH": "/usr/bin", "X": f"docker://r.io/a@{DIGEST}"}) == ()


@pytest.mark.parametrize(
    "word",
    [
        "oci:build@v2:x", "oci:/srv/proj@2:x", "/srv/proj@2/out", "proj@2", "containers-storage:[overlay@/srv]x",
        "docker-archive:save@1.tar:vm:latest", f"docker.io/team/machine:stable@{DIGEST}", "/kernel=out:dir/vm@2",
        "ssh://admin@host",
    ],
)  # fmt: skip
def test_a_path_and_a_local_store_hold_no_password(word: str) -> None:
    assert secrets_in({}, [word]) == ()


def test_a_path_with_an_at_sign_is_named_in_an_error(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["inspect", f"oci:{tmp_path}/project@2:x"]
    monkeypatch.setattr(sys, "argv", ["eci-convert", *words])
    _, _, err = run.anyhow(*words)
    assert f"oci:{tmp_path}/project@2:x: " in err


def test_the_store_of_a_containers_storage_is_named_in_an_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["inspect", f"containers-storage:[overlay@{tmp_path}/none]x"]
    monkeypatch.setattr(sys, "argv", ["eci-convert", *words])
    _, _, err = run.anyhow(*words)
    assert f"{str(tmp_path / 'none')!r} is not an image store of the driver 'overlay'" in err


@pytest.mark.parametrize(
    "word",
    ["oci:layout:@7", "oci:layout@9.1", "containers-storage:[overlay@/srv/images]machine:1", "build@2.1/vmlinuz",
     "docker-daemon:machine@0123456789ab", "registry.example:5000/machine:latest@0123456789ab",
     "--to=oci:layout:@0", "machine:latest@0123456789ab"],
)  # fmt: skip
def test_a_word_with_an_at_sign_that_is_no_url_is_no_secret(word: str) -> None:
    assert secrets_in({}, [word]) == ()


@pytest.mark.parametrize("word", ["robot:hunter2@registry.example/x", "--proxy=robot:hunter2@127.0.0.1:9"])
def test_a_word_that_is_a_url_without_its_scheme_holds_a_password(word: str) -> None:
    assert secrets_in({}, [word]) == ("hunter2",)


def test_the_values_of_settings_show_no_password() -> None:
    assert "hunter2" not in repr(Settings(password="hunter2", environ={"HTTPS_PROXY": "http://u:hunter2@h"}))
    assert redacted_host("unix:///run/docker.sock") == "unix:///run/docker.sock"


def outcome(run: Callable[[], object]) -> str:
    """What *run* returns, or all that a traceback of what it raises would say."""
    try:
        return str(run())
    except EciError as error:
        return chain(error)


def chain(error: BaseException | None) -> str:
    """All that a traceback of *error* would say."""
    import traceback

    return "".join(traceback.format_exception(error))
