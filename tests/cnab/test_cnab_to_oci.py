"""Every recorded call of cnab-to-oci again, with the same exit code, lines and bytes."""

from __future__ import annotations

import json

import pytest

from eci_convert.cli import main
from tests.cnab.conftest import Recorded
from tests.support.cnab_golden import case, cases

PUSHED = [name for name in cases() if "index.json" in case(name).documents]
FIXED = [name for name in cases() if "fixed-bundle.json" in case(name).documents]
DIFFERENT = {"platforms-invocation", "platforms-invocation-digests-present"}
"""Where the original's bundle names the whole index, though a smaller one was asked for (its defect)."""
FAILED = [
    name
    for name in cases()
    if (call := case(name).command("push") or case(name).command("pull"))
    and call["exit"]
    and "push-only" not in name
    and name != "platforms-arm-no-variant"
]


@pytest.mark.parametrize("recorded", FIXED, indirect=True)
def test_fixup_writes_the_recorded_bundle_and_map(recorded: Recorded) -> None:
    code, out, err = recorded.play("fixup")

    expected = recorded.expected("fixup")
    assert (code, out, sorted(err.splitlines())) == (0, expected["stdout"], sorted(expected["stderr"].splitlines()))
    assert (recorded.folder / "fixed-bundle.json").read_bytes() == recorded.document("fixed-bundle.json")
    assert (recorded.folder / "fixup-relocation-map.json").read_bytes() == recorded.document(
        "fixup-relocation-map.json"
    )


@pytest.mark.parametrize("recorded", [name for name in PUSHED if name not in DIFFERENT], indirect=True)
def test_push_sends_the_recorded_documents_and_pull_brings_them_back(recorded: Recorded) -> None:
    code, out, err = recorded.play("push")

    target = recorded.expected("push")["argv"][4]
    repository, tag = target.partition("/")[2].rsplit(":", 1)
    kinds = recorded.case.documents["pushed.json"]
    media_type, index = recorded.target.manifests[repository, tag]
    assert (code, sorted(err.splitlines())) == (0, sorted(recorded.expected("push")["stderr"].splitlines())), err
    assert index == recorded.document("index.json")
    assert media_type == kinds["index"]["mediaType"]
    [config_type, manifest] = recorded.target.manifests[repository, json.loads(index)["manifests"][0]["digest"]]
    assert (config_type, manifest) == (kinds["configManifest"]["mediaType"], recorded.document("config-manifest.json"))
    assert recorded.target.blobs[json.loads(manifest)["config"]["digest"]] == recorded.document("config.json")
    assert out.startswith('Pushed successfully, with digest "sha256:')
    digest = out.split('"')[1]
    assert (repository, digest) in recorded.target.manifests

    if recorded.case.command("pull"):
        assert recorded.play("pull") == (0, "", "")
        assert (recorded.folder / "pulled.json").read_bytes() == recorded.document("pulled.json")
        pulled_map = (recorded.folder / "pulled-relocation-map.json").read_bytes()
        assert pulled_map == recorded.document("pulled-relocation-map.json")


REASONS = ("failed commit on ref ", "unexpected status from ", "failed to push image ", '"d/e" is an invalid ')
"""Where containerd, the Docker engine and Go begin to speak, whose words are not ours."""


def shortened(recorded_line: str) -> str:
    return next((recorded_line.partition(reason)[0] for reason in REASONS if reason in recorded_line), recorded_line)


@pytest.mark.parametrize("recorded", FAILED, indirect=True)
def test_what_failed_fails_with_the_recorded_exit_code_and_lines(recorded: Recorded) -> None:
    verb = "push" if recorded.case.command("push") else "pull"
    code, out, err = recorded.play(verb)

    expected = [line for line in recorded.expected(verb)["stderr"].splitlines() if line != "unknown: manifest invalid"]
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == len(expected), err
    for line, recorded_line in zip(err.splitlines(), expected, strict=True):
        whole = not any(reason in recorded_line for reason in REASONS)
        assert (line == recorded_line) if whole else line.startswith(shortened(recorded_line)), line


@pytest.mark.parametrize("recorded", ["several-components"], indirect=True)
def test_a_bundle_is_pulled_by_its_digest_too(recorded: Recorded) -> None:
    """The case pull-by-digest: of the same bundle, from the same place."""
    _, out, _ = recorded.play("push")
    target = recorded.expected("push")["argv"][4].rpartition(":")[0]
    words = ["--bundle", "pulled.json", "--relocation-map", "pulled-relocation-map.json"]

    code = main(["cnab-to-oci", "pull", f"{target}@{out.split(chr(34))[1]}", *words])

    assert code == 0
    assert (recorded.folder / "pulled.json").read_bytes() == recorded.document("pulled.json")
    pulled_map = (recorded.folder / "pulled-relocation-map.json").read_bytes()
    assert pulled_map == recorded.document("pulled-relocation-map.json")
    by_digest = case("pull-by-digest").documents
    assert by_digest["pulled.json"] == recorded.case.documents["pulled.json"]
    assert by_digest["pulled-relocation-map.json"] == recorded.case.documents["pulled-relocation-map.json"]
