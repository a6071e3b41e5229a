# ruff: noqa: E501  (a row of the table is one line)
"""No option is ignored in silence: commands × options, each of which has an effect, or is an error that says why.

A row of ROWS is an option of a command, and a pair of command lines that differ in nothing else: what they print, what
they write or whether they fail differs too. Connection options are tried against registries and containerd.
"""

from __future__ import annotations

import io
import json
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from eci_convert.cli.commands import all_commands
from eci_convert.cli.connection_options import USES
from eci_convert.dialects import IGNORED, WRITERS
from eci_convert.testing import FaultyRegistry, Reply, header, status
from eci_convert.transports import SCHEMES, open_sink
from eci_convert.transports.schemes import Scheme
from eci_convert.transports.settings import Settings
from tests.cli.conftest import Parts
from tests.support.command_line import Run, one_line
from tests.support.fake_containerd import a_containerd
from tests.support.fake_docker import a_docker
from tests.support.fake_registry.server import a_registry
from tests.support.generate_readme_tables import PARTS

CONNECTING = {
    "inspect": "inspect {ref}",
    "extract": "extract {ref} {out}",
    "verify": "verify {ref}",
    "copy": "copy {ref} {new}",
    "build": "build --kernel {k} --to {new}",
    "push": "push {new} --kernel {k}",
    "pull": "pull {ref} --dir {out}",
    "pullfiles": "pullfiles {ref} --kernel {out}.k",
    "index create": "index create {new} {ref}",
    "index add": "index add {new} {ref}",
    "index remove": "index remove {new} --platform linux/amd64",
    "preload": "preload {ref} --root {out}",
    "cnab fixup": "cnab fixup {bundle} -t {new} --auto-update-bundle --bundle {out}.b --relocation-map {out}.m",
    "cnab push": "cnab push {bundle} -t {new} --auto-update-bundle",
    "cnab pull": "cnab pull {ref} --bundle {out}.b --relocation-map {out}.m",
}
"""A command line of each command that connects to registries; the others know no connection option."""

STORES = {
    "list": "list {dir}",
    "tag": "tag {ref} other",
    "delete": "delete {ref}",
    "attach": "attach {ref} {k} --artifact-type text/plain",
    "discover": "discover {ref}",
    "url": "url {ref}",
    "ls": "ls {ref}",
    "diff": "diff {ref} {ref}",
}
"""The same of the commands for stores."""

CONNECTION_OPTIONS = frozenset(USES) - {"compat"}
CNAB = frozenset({"cnab fixup", "cnab push", "cnab pull"})
LACKING = {
    **{name: frozenset({"address", "namespace"}) for name in CNAB},
    "cnab pull": frozenset({"address", "namespace", "concurrency"}),
    "inspect": frozenset({"concurrency"}),
}
"""Connection options that mean nothing for a command that connects, and that it does not know therefore."""

TRIED_ELSEWHERE = {
    **dict.fromkeys(("build", "copy", "push"), frozenset({"compat"})),
    "inspect": frozenset({"no_trunc"}),  # has an effect on terminals only: commands/test_inspect.py
}
"""Options whose effect the table cannot show."""

ELSEWHERE = {"concurrency": "transports/registry/pull/test_parallel_ranges.py"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """*words* added to *line* change what becomes of it; or fail with *code* and *text* in the error."""

    line: str
    words: str
    code: int = 0
    text: str = ""


Given = str | tuple[str, int, str] | tuple[str, str] | tuple[str, str, int, str]
"""Words to add to the line of a command; or line and words; or words, code, text; or all four."""


def _rows(line: str, **options: Given) -> dict[str, Row]:
    """Rows for the parameters that *options* name: words to add to *line*; or line and words; or words, code, text; or
    all four."""
    found = {}
    for name, given in options.items():
        match given:
            case str(words):
                found[name] = Row(line=line, words=words)
            case (str(other), str(words)):
                found[name] = Row(line=other, words=words)
            case (str(words), int(code), str(text)):
                found[name] = Row(line=line, words=words, code=code, text=text)
            case (str(other), str(words), int(code), str(text)):
                found[name] = Row(line=other, words=words, code=code, text=text)
    return found


_DEBUG = ("{bad}", "--debug")
_NO_CLEARTEXT = ("--platform linux/s390x", 8, "linux/s390x")
_SMALL = ("--max-size 10", 7, "limit")

_PARTS: dict[str, Given] = {
    "kernel": "--kernel {k2}", "initrd": "--initrd {k2}", "root": "--root {r}:raw", "disks": "--disk {r}:raw",
    "config": "--config {c}", "cmdline": "--cmdline quiet", "others": "--other NOTES={c}",
}  # fmt: skip
_OUTPUTS: dict[str, Given] = {
    "kernel": "--kernel {out}.k", "initrd": "--initrd {out}.i", "root": "--root {out}.r", "disks": "--disk 0={out}.d",
    "config": ("extract {cfg}", "--config {out}.c"), "cmdline": ("extract {cmd}", "--cmdline {out}.l"),
}  # fmt: skip

ROWS: dict[str, dict[str, Row]] = {
    "dockerfile": _rows(
        "dockerfile --initrd {i} --context {parts}", **{**_PARTS, "initrd": ("dockerfile --kernel {k} --context {parts}",
        "--initrd {i}")},
        trust_type=("dockerfile --kernel {k} --context {parts} --root {q}:raw", "--trust-type"),
        output="-o {out}.d", context=("dockerfile --kernel {k}", "--context {parts}"),
        stage=("dockerfile --kernel {k}", "--stage {out}"), base="--base alpine", single_layer="--kernel {k} --single-layer",
        labels="--label a=b", dry_run=("dockerfile --initrd {i} --context {parts} -o {out}.d", "--dry-run"),
        as_json="--json", quiet=("dockerfile --initrd {i} --context {parts} -o {out}.d --dry-run", "-q"),
        debug=("dockerfile --kernel /nowhere", "--debug"),
    ),
    "build": _rows(
        "build --initrd {i} --to oci:{out}:a", **_PARTS | {"initrd": ("build --kernel {k} --to oci:{out}:a", "--initrd {i}")},
        trust_type=("build --to oci:{out}:a --root {q}:raw", "--trust-type"),
        tag=("build --kernel {k}", "-t a:1"), destination=("build --kernel {k}", "--to oci:{out}:a"),
        format=("build --root {r}:raw --to oci:{out}:a", "--format containerdisk"), plat=("build --kernel {k} --to oci:{out}:a --format unikraft", "--plat xen"),
        builder=("build --kernel {k} -t a:1", "--builder docker"),
        base=("--base alpine", 2, "--builder"), file=("--file {c}", 2, "--builder"), context=("--context {parts}", 2, "--builder"),
        author="--author me", also="--root {r}:raw --also containerdisk", labels="--label a=b", annotations="--annotation a=b",
        append=("build --initrd {i} --to {idx}", "--append"), compression="--compression none", digest_file="--digest-file {out}.d",
        dry_run="--dry-run", platforms="--platform linux/s390x", as_json="--json", progress="--progress json", quiet="-q",
        verbose="-v", debug=("build --kernel /nowhere --to oci:{out}:a", "--debug"),
    ),
    "push": _rows(
        "push oci:{out}:a --initrd {i}", **_PARTS | {"initrd": ("push oci:{out}:a --kernel {k}", "--initrd {i}")},
        trust_type=("push oci:{out}:a --root {q}:raw", "--trust-type"),
        format="--format legacy", author="--author me", os="--OS freebsd", arch="--arch s390x",
        plat=("push oci:{out}:a --kernel {k} --format unikraft", "--plat xen"), remote=("push localhost:1/a:1 --kernel {k}", "--remote {out}"), labels="--label a=b", annotations="--annotation a=b",
        append=("push {idx} --initrd {i}", "--append"), compression=("push oci:{out}:a --initrd {i} --format legacy",
        "--compression none"), digest_file="--digest-file {out}.d", dry_run="--dry-run", platforms="--platform linux/s390x",
        as_json="--json", progress="--progress json", quiet="-q", verbose="-v",
        debug=("push oci:{out}:a --kernel /nowhere", "--debug"),
    ),
    "extract": _rows(
        "extract {lay}", **_OUTPUTS,
        only="--only kernel", names=("extract {cdk} {out}", "--names image"), paths=("extract {leg}", "--path /kernel={out}.p"), dialect=("--dialect unikraft", 8, "unikraft"),
        no_clobber=("extract {lay} --kernel {k2}", "--no-clobber", 9, "file exists"),
        no_sparse=("extract {lay} {out}", "--no-sparse"), max_size=_SMALL, dry_run="--dry-run", platforms=_NO_CLEARTEXT,
        as_json="--json", progress="--progress json", quiet="-q", verbose="-v", debug=("extract oci:/nowhere", "--debug"),
    ),
    "inspect": _rows(
        "inspect {lay}", raw="--raw", deep=("inspect {leg} --json", "--deep"), kubevirt=("inspect {cdk}", "--kubevirt"),
        dialect=("--dialect unikraft", 8, "unikraft"), max_size=_SMALL, platforms=_NO_CLEARTEXT,
        as_json="--json", progress=("inspect {warn}", "--progress json"), quiet="-q", verbose="-v",
        debug=("inspect oci:/nowhere", "--debug"),
    ),
    "verify": _rows(
        "verify {lay}", fix="--fix oci:{out}:a", dialect="--dialect unikraft",
        digest_file=("verify {lay} --fix oci:{out}:a", "--digest-file {out}.d"),
        max_size=("--max-size 10", 7, "failed verification"), dry_run=("verify {lay} --fix oci:{out}:a", "--dry-run"), platforms=_NO_CLEARTEXT, as_json="--json",
        progress="--progress json", quiet="-q", verbose="-v", debug=("verify oci:/nowhere", "--debug"),
    ),
    "copy": _rows(
        "copy {lay} oci:{out}:a", format="--format legacy",
        dialect=("copy {lay} oci:{out}:a --format legacy --dialect eci-artifacts", "--dialect unikraft"),
        also=("copy {lay} oci:{out}:a --format legacy", "--also containerdisk"),
        plat=("copy {ker} oci:{out}:a --format unikraft", "--plat xen"),
        all_platforms=("copy {idx} oci:{out}:a", "--all-platforms"), referrers=("copy {new} oci:{out}:a", "--referrers"),
        labels=("copy {lay} oci:{out}:a --format legacy", "--label a=b"),
        annotations=("copy {lay} oci:{out}:a --format legacy", "--annotation a=b"),
        compression=("copy {lay} oci:{out}:a --format legacy", "--compression none"), digest_file="--digest-file {out}.d",
        max_size=_SMALL, dry_run="--dry-run", platforms=_NO_CLEARTEXT, as_json="--json", progress="--progress json", quiet="-q",
        verbose="-v", debug=("copy oci:/nowhere oci:{out}:a", "--debug"),
    ),
    "pull": _rows(
        "pull oci:{layout}:edge/machine:1 --dir {out}", directory=("pull oci:{layout}:edge/machine:1", "--dir {out}"),
        no_clobber=("pull {leg} --dir {had}", "--no-clobber", 9, "file exists"),
        remote=("pull localhost:1/a:1 --dir {out}", "--remote {rem}"), max_size=_SMALL,
        dry_run="--dry-run", platforms=_NO_CLEARTEXT, as_json="--json", progress="--progress json", quiet="-q",
        verbose="-v", debug=("pull oci:/nowhere", "--debug"),
    ),
    "pullfiles": _rows(
        "pullfiles oci:{layout}:edge/machine:1 --initrd {out}.2", **{name: row for name, row in _OUTPUTS.items() if name != "cmdline"} | {"config": ("pullfiles {cfg} --kernel {out}.k",
        "--config {out}.c"), "initrd": ("pullfiles {lay} --kernel {out}.k", "--initrd {out}.i")},
        no_clobber=("pullfiles {lay} --kernel {k2}", "--no-clobber", 9, "file exists"),
        remote=("pullfiles localhost:1/a:1 --kernel {out}", "--remote {rem}"), max_size=_SMALL,
        dry_run="--dry-run", platforms=_NO_CLEARTEXT, as_json="--json", progress="--progress json", quiet="-q",
        verbose="-v", debug=("pullfiles oci:/nowhere --kernel {out}", "--debug"),
    ),
    "index create": _rows(
        "index create oci:{out}:a {lay}", annotations="--annotation a=b", max_size=_SMALL, digest_file="--digest-file {out}.d",
        dry_run="--dry-run", platforms=_NO_CLEARTEXT, as_json="--json", progress="--progress json", quiet="-q", verbose="-v",
        debug=("index create oci:{out}:a oci:/nowhere", "--debug"),
    ),
    "index add": _rows(
        "index add {idx} {s390x}", strategy=("--strategy abort", 2, "there already"), annotations="--annotation a=b",
        max_size=_SMALL, digest_file="--digest-file {out}.d", dry_run="--dry-run", platforms=("--platform linux/arm/v6", 8,
        "linux/arm/v6"), as_json="--json", progress=("index add {warn} {s390x}", "--progress json"), quiet="-q", verbose="-v",
        debug=("index add {idx} oci:/nowhere", "--debug"),
    ),
    "index remove": _rows(
        "index remove {idx} --platform linux/s390x", digest=("index remove {idx}", "--digest {digest}"),
        annotations="--annotation a=b", digest_file="--digest-file {out}.d", dry_run="--dry-run",
        platforms=("index remove {idx}", "--platform linux/s390x"), as_json="--json", progress=("index remove {warn} --platform "
        "linux/s390x --dry-run", "--progress json"), quiet="-q", verbose="-v",
        debug=("index remove oci:/nowhere --platform linux/s390x", "--debug"),
    ),
    "preload": _rows(
        "preload {leg} --root {out}", output=("preload {leg}", "-o {out}.tar"), root=("preload {leg}", "--root {out}"),
        driver="--driver vfs", prefix="--prefix /x", dry_run="--dry-run", platforms=_NO_CLEARTEXT, as_json="--json",
        progress="--progress json", quiet="-q", verbose="-v", debug=("preload oci:/nowhere:a --root {out}", "--debug"),
    ),
}  # fmt: skip

OF_STORES = frozenset({"attach", "delete", "diff", "discover", "doctor", "list", "ls", "tag", "url"})
"""Their own options are tried in tests/cli/commands, where there are images with names, referrers and mirrors."""

COMMON = CONNECTION_OPTIONS | {"as_json", "compat", "debug", "platforms", "progress", "quiet", "verbose"}

OF_CNAB = {"fixup", "push", "pull"}
"""Their own options are tried in tests/cnab, where bundles are."""


def options_of(command: click.Command) -> set[str]:
    """The parameters of *command* that are options, but for what scripts written for another tool may say."""
    return {
        parameter.name
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden and parameter.name
    }


def test_the_table_has_every_option_of_every_command() -> None:
    for name, command in all_commands():
        if name in CNAB | OF_STORES or name in ("completion", "help", "version"):
            continue
        connecting = CONNECTION_OPTIONS - LACKING.get(name, frozenset()) if name in CONNECTING else frozenset()
        expected = set(ROWS[name]) | connecting | TRIED_ELSEWHERE.get(name, frozenset())
        assert {option for option in options_of(command) if not option.startswith(("src_", "dest_"))} == expected, name


def test_the_options_of_commands_for_stores_are_tried_beside_them() -> None:
    texts = "".join(path.read_text() for path in Path(__file__).with_name("commands").rglob("*.py"))
    known = {words: command for words, command in all_commands() if words in OF_STORES}
    assert known.keys() == OF_STORES
    for name, command in known.items():
        own = [parameter for parameter in command.params if parameter.name in options_of(command) - COMMON]
        assert not [option.opts for option in own if not any(word in texts for word in option.opts)], name


@pytest.mark.parametrize("words", ["list oci:{layout}", "tag oci:{layout} other", "delete oci:{layout}:edge/machine:1"])
def test_what_is_about_names_knows_no_platform(words: str, run: Run, layout: Path) -> None:
    before = snapshot(layout)
    one_line(run(*words.format(layout=layout).split(), "--platform", "linux/s390x", exits=2), "--platform")
    assert snapshot(layout) == before


@pytest.mark.parametrize("words", ["tag {new} other", "url {new}", "discover {new}", "inspect {new}"])
def test_what_transfers_no_blobs_knows_no_concurrency(words: str, run: Run, names: dict[str, str]) -> None:
    one_line(run(*words.format(**names).split(), "--concurrency", "2", exits=2), "--concurrency")
    run(*words.format(**names).split())


def test_commands_for_bundles_know_what_means_something_there() -> None:
    texts = "".join(path.read_text() for path in Path(__file__).parents[1].joinpath("cnab").glob("*.py"))
    for name, command in all_commands():
        if name in CNAB:
            own = options_of(command) - CONNECTION_OPTIONS
            assert CONNECTION_OPTIONS - LACKING[name] <= options_of(command)
            assert not LACKING[name] & options_of(command)
            assert "platforms" not in own
            spelt = {option for parameter in command.params if parameter.name in own for option in parameter.opts}
            tried = {option for option in spelt if option.startswith("--") and f'"{option}' in texts}
            assert {"--target", "--bundle", "--relocation-map", "--auto-update-bundle"} & spelt <= tried | {"--target"}


@pytest.mark.parametrize("option", ELSEWHERE)
def test_what_is_hard_to_see_from_outside_has_tests_of_its_own(option: str) -> None:
    text = (Path(__file__).parents[1] / ELSEWHERE[option]).read_text()
    assert f"{option}=" in text


@pytest.fixture
def names(run: Run, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """What the names in braces in the table stand for."""
    folder = parts.kernel.parent
    (folder / "qcow").write_bytes(b"QFI\xfb\0\0\0\3" + b"\0" * 2000)
    (folder / "config").write_text("{}")
    parts.root.write_bytes(b"boot" + bytes(300_000) + b"data" * 99)
    layout = tmp_path / "layout"
    (folder / "kernel2").write_bytes(b"other" * 999)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("ECI_CONVERT_RETRIES", "0")
    monkeypatch.chdir(tmp_path)
    run("push", "--remote", layout, "edge/machine:1", *parts.words)
    run("push", "--remote", tmp_path / "rem", "localhost:1/a:1", "--kernel", parts.kernel)
    built: dict[str, list[str | Path]] = {
        "leg": ["--kernel", parts.kernel],
        "ker": ["--kernel", parts.kernel, "--format", "unikraft"],
        "cfg": ["--kernel", parts.kernel, "--config", folder / "config", "--format", "artifacts"],
        "cmd": ["--kernel", parts.kernel, "--cmdline", "quiet"],
        "cdk": ["--kernel", parts.kernel, "--root", f"{parts.root}:raw", "--format", "containerdisk"],
        "s390x": ["--kernel", parts.kernel, "--platform", "linux/s390x"],
    }
    for name, words in built.items():
        run("build", *words, "--to", f"oci:{tmp_path}/{name}:edge/machine:1")
    run("pull", f"oci:{tmp_path}/leg:edge/machine:1", "--dir", tmp_path / "had")
    idx = f"oci:{tmp_path}/idx:a"
    created = run("index", "create", idx, f"oci:{layout}", f"oci:{tmp_path}/s390x", "-q")
    entries = json.loads((tmp_path / "idx/blobs/sha256" / created.out.strip().partition(":")[2]).read_text())[
        "manifests"
    ]
    with a_registry() as registry, a_docker(tmp_path) as docker:
        monkeypatch.setenv("DOCKER_HOST", docker.environ["DOCKER_HOST"])
        run("copy", idx, f"docker://{registry.host}/edge/warned:1", "--all-platforms")
        run("copy", f"oci:{layout}", f"docker://{registry.host}/edge/machine:1")
        refer(registry, "edge/machine", run("inspect", f"oci:{layout}", "-q").out.strip())
        registry.misbehave("GET", "/edge/warned/manifests/", warning, times=99)
        yield {
            "k": str(parts.kernel), "i": str(parts.initrd), "r": str(parts.root), "q": str(folder / "qcow"),
            "k2": str(folder / "kernel2"), "c": str(folder / "config"), "parts": str(folder), "layout": str(layout), "rem": str(tmp_path / "rem"), "had": str(tmp_path / "had"),
            "lay": f"oci:{layout}", "idx": idx, "digest": str(entries[1]["digest"]), "out": str(tmp_path / "out"),
            "new": f"docker://{registry.host}/edge/machine:1", "warn": f"docker://{registry.host}/edge/warned:1",
            **{name: f"oci:{tmp_path}/{name}:edge/machine:1" for name in built},
        }  # fmt: skip


def warning(reply: Reply) -> Reply:
    return header("Warning", '299 - "soon gone"')(reply)


def refer(registry: FaultyRegistry, repository: str, subject: str) -> None:
    """Puts a signature, as it were, of *subject* into *registry*."""
    _, content = registry.manifests[repository, subject]
    empty = registry.hold(b"{}")
    registry.places.add((repository, empty))
    blob = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2}
    about = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": subject, "size": len(content)}
    document = json.dumps({"schemaVersion": 2, "mediaType": about["mediaType"], "artifactType": "a/b", "config": blob,
                           "layers": [blob], "subject": about}).encode()  # fmt: skip
    digest = registry.hold(document)
    registry.manifests[repository, digest] = (str(about["mediaType"]), document)


CELLS = [(command, option) for command, rows in ROWS.items() for option in rows]


@pytest.mark.parametrize("command", ROWS)
def test_each_option_changes_what_becomes_of_a_command(
    command: str, run: Run, names: dict[str, str], tmp_path: Path
) -> None:
    before = snapshot(tmp_path)
    for option, row in ROWS[command].items():
        results = []
        for words in ("", row.words):
            line = [word.format(**names) for word in f"{row.line} {words}".split()]
            code, out, err = run.anyhow(*line)
            results.append((code, out, err, snapshot(tmp_path)))
            restore(before, tmp_path)
        (code, _, err, _) = results[1]
        if row.code:
            assert (code, row.text in err) == (row.code, True), f"{command} {option}: {code} {err}"
        assert results[0] != results[1], f"{command} {option} has no effect"
        if not row.code and option != "debug" and "unikraft" not in row.words:
            assert code == 0, f"{command} {option}: {err}"


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() + str(path.stat().st_blocks > 100).encode()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {"home", "state"} & set(path.relative_to(folder).parts)
    }


def restore(before: dict[str, bytes], folder: Path) -> None:
    """Undoes what a command has done to *folder*."""
    for name in snapshot(folder):
        if name not in before:
            (folder / name).unlink()
    for name, content in before.items():
        path = folder / name
        whole = content.removesuffix(b"True").removesuffix(b"False")
        if path.read_bytes() != whole:
            path.write_bytes(whole)
    for path in sorted(folder.rglob("out*"), reverse=True):
        if path.is_dir() and path.parent == folder:
            shutil.rmtree(path)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "bundle.json"
    path.write_text("{}")
    return path


def fill(run: Run, parts: Parts, reference: str, tmp_path: Path) -> None:
    """Puts an image that every command reads, and that is for this computer, under *reference*."""
    run("build", "--kernel", parts.kernel, "--to", f"oci:{tmp_path}/source:edge/machine:1")
    run("copy", f"oci:{tmp_path}/source", reference)


def write_bundle(path: Path, host: str) -> None:
    images = [{"imageType": "oci", "image": f"{host}/edge/machine:1"}]
    path.write_text(json.dumps({"schemaVersion": "v1.0.0", "name": "a", "version": "1", "invocationImages": images}))


def line(command: str, host: str, parts: Parts, bundle: Path, tmp_path: Path) -> list[str]:
    """The command line of *command* about images at *host*."""
    place = host if command in CNAB else f"docker://{host}"
    names = {"ref": f"{place}/edge/machine:1", "new": f"{place}/edge/new:1", "k": str(parts.kernel), "bundle": str(bundle),
             "out": str(tmp_path / "out")}  # fmt: skip
    return [word.format(**names) for word in CONNECTING[command].split()]


@pytest.mark.parametrize("command", CONNECTING)
def test_each_connection_option_reaches_the_registry(
    command: str, run: Run, parts: Parts, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_registry(cert="elsewhere") as registry, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        write_bundle(bundle, registry.host)
        words = line(command, registry.host, parts, bundle, tmp_path)
        monkeypatch.setenv("ECI_CONVERT_RETRIES", "0")
        untrusted = run.anyhow(*words)[2]
        assert "certificate" in untrusted, untrusted
        expected = {
            ("--insecure",): None,
            ("--plain-http",): None,
            ("--ca-file", "/nowhere.pem"): "/nowhere.pem",
            ("--cert-file", "/nowhere.pem"): "/nowhere.pem",
            ("--key-file", "/nowhere.pem"): "of no use without the certificate",
        }
        for more, text in expected.items():
            error = run.anyhow(*words, *more)[2]
            assert error != untrusted, more
            assert (text or "") in error, (more, error)
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        write_bundle(bundle, host)
        slow = line(command, host, parts, bundle, tmp_path)
        assert run.anyhow(*slow, "--plain-http", "--timeout", "0.2")[0] in (3, 4)


@pytest.mark.parametrize("command", [name for name in CONNECTING if name != "index remove"])
def test_logins_and_retries_reach_the_registry(
    command: str, run: Run, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_registry() as registry:
        bundle = tmp_path / "bundle.json"
        write_bundle(bundle, registry.host)
        fill(run, parts, f"docker://{registry.host}/edge/machine:1", tmp_path)
        if command == "cnab pull":
            run("cnab", "push", bundle, "-t", f"{registry.host}/edge/machine:1", "--auto-update-bundle")
        words = line(command, registry.host, parts, bundle, tmp_path)
        monkeypatch.setenv("ECI_CONVERT_RETRIES", "0")
        registry.misbehave("GET|HEAD|POST|PUT", "", status(503), times=9)
        assert run.anyhow(*words)[0] in (3, 4)
        registry.behave()
        registry.misbehave("GET|HEAD|POST|PUT", "", status(503), times=1)
        assert run.anyhow(*words, "--retries", "2")[0] == 0

        if command not in CNAB:  # nobody is asked for a login yet
            one_line(run(*words, "--authfile", "/nowhere.json", exits=2), "/nowhere.json", "no such file")
        registry.users = {"me": "my-pw"}
        assert run.anyhow(*words)[0] in (4, 5)
        assert "the credentials file '/nowhere.json'" in run.anyhow(*words, "--authfile", "/nowhere.json")[2]
        one_line(run(*words, "--username", "me", exits=2), "--password-stdin")
        monkeypatch.setattr(sys, "stdin", io.StringIO("my-pw\n"))
        run(*words, "--username", "me", "--password-stdin")


@pytest.mark.parametrize("command", [name for name in CONNECTING if name not in CNAB])
def test_options_of_containerd_reach_it(
    command: str, run: Run, parts: Parts, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_containerd(tmp_path) as containerd:
        names = {"ref": "containerd:edge/machine:1", "new": "containerd:edge/new:1", "k": str(parts.kernel),
                 "out": str(tmp_path / "out")}  # fmt: skip
        words = [word.format(**names) for word in CONNECTING[command].split()]
        gone = run.anyhow(*words, "--address", "/nowhere/containerd.sock")
        assert (gone[0], "/nowhere/containerd.sock" in gone[2]) == (3, True), gone
        run.anyhow(*words, "--address", containerd.address, "--namespace", "mine")
        assert containerd.namespaces == {"mine"}


@pytest.mark.parametrize("command", [*(name for name in CONNECTING if name not in CNAB), *STORES])
def test_where_nothing_is_connected_a_connection_option_is_an_error(
    command: str, run: Run, parts: Parts, layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"ref": f"oci:{layout}:edge/machine:1", "new": f"oci:{tmp_path}/new:a", "k": str(parts.kernel),
             "out": str(tmp_path / "out"), "dir": f"oci:{layout}"}  # fmt: skip
    words = [word.format(**names) for word in (CONNECTING | STORES)[command].split()]
    given = [["--plain-http"], ["--insecure"], ["--ca-file", "x"], ["--cert-file", "x"], ["--key-file", "x"],
             ["--authfile", "x"], ["--retries", "3"], ["--address", "/x"]]  # fmt: skip
    if not command.startswith("pu"):  # scripts written for eci name a namespace, wherever they pull from
        given.append(["--namespace", "x"])
    for more in given:
        said = run(*words, *more, exits=2)
        one_line(said, more[0], "has no effect on")
        monkeypatch.setenv("ECI_CONVERT_" + more[0][2:].replace("-", "_").upper(), more[-1].replace(more[0], "1"))
    assert not (tmp_path / "new").exists()
    assert run.anyhow(*words)[0] in (
        0,
        2 if command == "url" else 0,
        4,
        8,
    )  # a variable is for every command, and may have no effect


def test_a_side_has_no_use_for_the_options_of_another_place(run: Run, layout: Path, tmp_path: Path) -> None:
    words = ["copy", f"oci:{layout}", "docker://localhost:1/a:1", "--dry-run"]
    one_line(run(*words, "--src-plain-http", exits=2), "--src-plain-http has no effect on", f"oci:{layout}")
    one_line(run(*words, "--dest-address", "/x", exits=2), "--dest-address has no effect on")


FORMAT_OPTIONS = {
    "author": ["--author", "me"], "labels": ["--label", "a=b"], "annotations": ["--annotation", "a=b"],
    "compression": ["--compression", "zstd"], "platform": ["--platform", "linux/s390x"],
}  # fmt: skip


@pytest.mark.parametrize("form", WRITERS)
def test_what_a_format_has_no_room_for_is_an_error(
    form: str, run: Run, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.root.write_bytes(bytes(510) + b"\x55\xaa" + bytes(9000))
    flags: dict[str, list[str | Path]] = {"kernel": ["--kernel", parts.kernel], "initrd": ["--initrd", parts.initrd], "disk-root": ["--root",
             f"{parts.root}:raw"], "disk-additional": ["--disk", parts.disk]}  # fmt: skip
    words = [word for part in PARTS[form] for word in flags[str(part.role)]]
    place = f"oci:{tmp_path}/l:a"
    base = run("build", *words, "--format", form, "--to", place, "-q").out
    for field, more in FORMAT_OPTIONS.items():
        for command in (["build", "--to", place], ["push", place]):
            code, out, err = run.anyhow(*command, *words, "--format", form, *more, "-q")
            if field in IGNORED[form]:
                assert (code, out) == (2, ""), (field, err)
                assert f"{more[0]} has no effect" in err
            else:
                assert (code, out != base) == (0, True), (field, err)
    for field in IGNORED[form]:
        name, value = FORMAT_OPTIONS[field]
        monkeypatch.setenv("ECI_CONVERT_" + name[2:].upper(), value)
    assert run("build", *words, "--format", form, "--to", place, "-q").out == base


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["build", "--kernel", "{k}", "-t", "a:1", "--compression", "zstd"], "the Docker engine keeps layers uncompressed"),
        (["copy", "{lay}", "docker-archive:{out}", "--compression", "gzip"], "keeps layers uncompressed"),
        (["copy", "{lay}", "oci:{out}:a", "--dialect", "labels"], "--dialect has no effect: `keep`"),
        (["copy", "{lay}", "oci:{out}:a", "--plat", "xen"], "--plat has no effect: `keep`"),
        (["copy", "{lay}", "oci:{out}:a", "--format", "legacy", "--plat", "xen"], "'unikraft'"),
        (["push", "oci:{out}:a", "--kernel", "{k}", "--platform", "linux/arm64", "--arch", "arm64"], "--arch excludes it"),
        (["push", "oci:{out}:a", "--kernel", "{k}", "--platform", "linux/arm64", "--OS", "linux"], "--OS excludes it"),
        (["push", "a:1", "--kernel", "{k}", "--remote", "containerd:/x", "--address", "/y"], "--address has no effect"),
        (["build", "--to", "oci:{out}:a", "--kernel", "{k}", "--trust-type"], "--trust-type has no effect"),
        (["build", "--to", "docker-archive:{out}:a", "--kernel", "{k}", "--annotation", "a=b"], "keeps no manifest"),
        (["build", "-t", "a", "--kernel", "{k}", "--builder", "docker", "--author", "me"], "--author needs --builder direct"),
        (["build", "-t", "a", "--kernel", "{k}", "--builder", "docker", "--compression", "zstd"], "--compression"),
        (["build", "-t", "a", "--kernel", "{k}", "--builder", "buildx", "--plain-http"], "--plain-http has no effect"),
        (["build", "-t", "a", "--kernel", "{k}", "--builder", "docker", "--also", "containerdisk"], "--also needs"),
        (["verify", "{lay}", "--dry-run"], "--dry-run needs --fix"),
        (["verify", "{lay}", "--digest-file", "{out}"], "--digest-file needs --fix"),
        (["inspect", "{lay}", "--raw", "--json"], "--raw and --json exclude each other"),
        (["inspect", "{lay}", "--raw", "--max-size", "1"], "--max-size has no effect on --raw"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)  # fmt: skip
def test_an_option_that_contradicts_another_is_an_error_that_says_why(
    words: list[str], why: str, run: Run, parts: Parts, layout: Path, tmp_path: Path
) -> None:
    names = {"k": str(parts.kernel), "lay": f"oci:{layout}", "out": str(tmp_path / "out")}
    one_line(run(*(word.format(**names) for word in words), exits=2), why)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_the_table_of_transports_says_which_keep_layers_uncompressed(scheme: Scheme, tmp_path: Path) -> None:
    name = scheme.name
    spelt = {"docker": "docker://localhost:1/a:1", "containers-storage": f"containers-storage:[vfs@{tmp_path}/s]a:1"}
    files = {"oci": f"oci:{tmp_path}/l:a", "oci-archive": f"oci-archive:{tmp_path}/a:a",
             "docker-archive": f"docker-archive:{tmp_path}/b:a"}  # fmt: skip
    reference = (spelt | files).get(name, f"{name}:a:1")
    environ = {"DOCKER_HOST": "tcp://127.0.0.1:1", "HOME": str(tmp_path)}
    with open_sink(reference, Settings(environ=environ)) as sink:
        assert sink.capabilities.stores_uncompressed is scheme.uncompressed


@pytest.mark.parametrize(
    ("words", "closest"),
    [
        (["dockerfile", "--plain-http"], ""),
        (["dockerfile", "--platform", "linux/arm64"], ""),
        (["inspect", "x", "--concurrency", "2"], ""),
        (["copy", "a", "b", "--formt", "keep"], "--format"),
        (["extract", "x", "--kernal", "k"], "--kernel"),
        (["cnab", "pull", "x", "--platform", "a/b"], ""),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_an_option_that_means_nothing_there_does_not_exist(words: list[str], closest: str, run: Run) -> None:
    said = run(*words, exits=2)
    assert said.err.lower().startswith("eci-convert: error: no such option")
    assert closest in said.err


@pytest.mark.parametrize("command", ["push", "build", "copy"])
def test_a_registry_may_get_an_older_manifest_unless_it_is_to_be_strict(
    command: str, run: Run, parts: Parts, tmp_path: Path
) -> None:
    run("build", "--kernel", parts.kernel, "--to", f"oci:{tmp_path}/from:a")
    with a_registry() as registry:
        registry.refuses = lambda media_type, content: b"artifactType" in content
        reference = f"docker://{registry.host}/edge/machine:1"
        lines: dict[str, list[str | Path]] = {
            "push": ["push", reference, "--kernel", parts.kernel],
            "build": ["build", "--to", reference, "--kernel", parts.kernel],
            "copy": ["copy", f"oci:{tmp_path}/from:a", reference],
        }
        words = [*lines[command], "--format", "artifacts"]

        strict = run.anyhow(*words, "--compat", "strict")

        assert (strict[0], "manifest" in strict[2]) == (3, True)
        run(*words)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("copy oci:a docker://localhost:1/b:1", "--compat has no effect: `keep` keeps every byte"),
        ("copy docker://localhost:1/b:1 oci:a --format artifacts", "it is for registries that are written to"),
        (
            "build --base docker://localhost:1/b:1 --builder docker -t a:1 --kernel {k}",
            "registries that are written to",
        ),
    ],
)
def test_no_older_manifest_where_none_is_made_for_a_registry(words: str, why: str, run: Run, parts: Parts) -> None:
    said = run(*words.format(k=parts.kernel).split(), "--compat", "strict", exits=2)
    assert why in said.err
