"""`eci-convert cnab`: what it does better than the original, and what the other commands say of a bundle."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eci_convert.oci.digest import Digest
from eci_convert.testing import FaultyRegistry
from tests.cnab.conftest import REFUSALS
from tests.support.cnab_bundles import index_at, sent, write_bundle
from tests.support.cnab_golden import hold_source_images
from tests.support.command_line import Run, one_line
from tests.support.fake_registry.server import a_registry

MULTI = "sha256:3488a870e662bf32c3a807e2b8274aff6871ab1056479be9a1f508bfd7ca89b3"
ARM64 = "sha256:7c87006ed0b1999626b21c5831e6ff81d9f3fc4fbae6f6da22bf952a6e788846"
ARM = "sha256:921c93aa5c566f21efe06eaee7797f4af24732a4af8dcb64bb97ea8667698446"
HELLO = "sha256:e62bfb2ae078c582d1273cac7f2c16131f03a845ee2bb96449917409828fabe7"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def pulled(run: Run, reference: str) -> tuple[dict[str, Any], dict[str, str]]:
    run("cnab", "pull", reference, "--bundle", "back.json", "--relocation-map", "back-map.json")
    return json.loads(Path("back.json").read_text()), json.loads(Path("back-map.json").read_text())


def test_the_smaller_index_is_what_the_bundle_names(run: Run, registry: FaultyRegistry) -> None:
    write_bundle(registry.host, "src/multi:1", other="src/multi:1")
    target = f"{registry.host}/apps/shop:1"

    run("cnab", "push", "bundle.json", "-t", target, "--auto-update-bundle", "--invocation-platforms", "linux/arm64",
        "--component-platforms", "linux/arm,linux/arm64/v8")  # fmt: skip

    entries = index_at(registry, "apps/shop", "1")["manifests"]
    bundle, relocation_map = pulled(run, target)
    for entry, image, digests in (
        (entries[1], bundle["invocationImages"][0], [ARM64]),
        (entries[2], bundle["images"]["other"], [ARM64, ARM]),
    ):
        media_type, content = registry.manifests["apps/shop", entry["digest"]]
        kept = json.loads(content)
        assert [child["digest"] for child in kept["manifests"]] == digests
        assert (image["contentDigest"], image["size"]) == (entry["digest"], entry["size"]) == (
            f"sha256:{hashlib.sha256(content).hexdigest()}", len(content)
        )  # fmt: skip
        assert (media_type, kept["manifests"][0]["Foo"]) == (OCI_INDEX, "bar")
        assert kept["annotations"] == {"org.example": "kept"}
        assert list(kept) == sorted(kept)
        assert list(kept["manifests"][0]) == sorted(kept["manifests"][0])
    assert ("apps/shop", MULTI) not in registry.manifests
    assert relocation_map[f"{registry.host}/src/multi:1"].startswith(f"{registry.host}/apps/shop@sha256:")


@pytest.mark.parametrize("flags", [("--auto-update-bundle",), ()])
def test_an_image_in_the_targets_own_repository_is_filtered_too(
    run: Run, registry: FaultyRegistry, flags: tuple[str, ...]
) -> None:
    bundle = write_bundle(registry.host, "src/multi:1")
    run("cnab", "fixup", bundle, "-t", f"{registry.host}/src/multi:2", "--auto-update-bundle")

    run("cnab", "push", "fixed-bundle.json", "-t", f"{registry.host}/src/multi:2", *flags,
        "--invocation-platforms", "arm64")  # fmt: skip

    filtered = index_at(registry, "src/multi", "2")["manifests"][1]["digest"]
    assert [entry["digest"] for entry in index_at(registry, "src/multi", filtered)["manifests"]] == [ARM64]


def test_an_index_of_which_everything_is_kept_stays_as_it_is(run: Run, registry: FaultyRegistry) -> None:
    write_bundle(registry.host, "src/multi:1")

    run("cnab", "push", "bundle.json", "-t", f"{registry.host}/a:1", "--auto-update-bundle",
        "--invocation-platforms", "linux/arm64,linux/amd64", "--invocation-platforms", "linux/arm/v7")  # fmt: skip

    assert index_at(registry, "a", "1")["manifests"][1]["digest"] == MULTI


def test_a_platform_that_no_image_is_for_is_an_error(run: Run, registry: FaultyRegistry) -> None:
    write_bundle(registry.host, "src/multi:1")
    target = ("-t", f"{registry.host}/a:1", "--auto-update-bundle")

    none = run("cnab", "push", "bundle.json", *target, "--invocation-platforms", "linux/arm/v6", exits=8)
    bad = run("cnab", "push", "bundle.json", *target, "--invocation-platforms", "a/b/c/d", exits=2)

    assert "no descriptor matching the platform filter" in none.err
    one_line(bad, "a/b/c/d")
    assert sent(registry) == []


@pytest.mark.parametrize("port", ["", "5721", "5722", "5723"])
def test_a_second_push_sends_nothing(run: Run, environment: Path, port: str) -> None:
    with a_registry() as registry:
        hold_source_images(registry)
        registry.checks_references = registry.apart = True
        path = write_bundle(registry.host, "src/hello-invoc-docker:0.1.0", list="src/multi-docker:1")
        registry.refuses = REFUSALS.get(port, registry.refuses)
        first = run("cnab", "push", path, "-t", f"{registry.host}/apps/shop:1", "--auto-update-bundle")
        registry.requests.clear()

        second = run("cnab", "push", path, "-t", f"{registry.host}/apps/shop:1", "--auto-update-bundle")

        assert sent(registry) == []
        assert first.out == second.out
        bundle, _ = pulled(run, f"{registry.host}/apps/shop:1")
        assert bundle["images"]["list"]["image"] == f"{registry.host}/src/multi-docker:1"


@pytest.mark.parametrize("words", [("--allow-fallbacks=false",), ("--no-allow-fallbacks",), ("--compat", "strict")])
@pytest.mark.parametrize("port", ["5721", "5722"])
def test_without_fallbacks_the_first_refusal_is_final(
    run: Run, registry: FaultyRegistry, words: tuple[str, ...], port: str
) -> None:
    write_bundle(registry.host)
    registry.refuses = REFUSALS[port]

    said = run("cnab", "push", "bundle.json", "-t", f"{registry.host}/a:1", "--auto-update-bundle", *words, exits=3)

    assert "manifest invalid" in said.err
    assert ("a", "1") not in registry.manifests


def test_blobs_are_mounted_from_the_real_name_of_their_repository(run: Run, registry: FaultyRegistry) -> None:
    bundle = write_bundle(registry.host, multi="src/multi:1")

    run("cnab", "push", bundle, "-t", f"{registry.host}/apps/shop:1", "--auto-update-bundle")

    posts = [one.path for one in registry.requests if one.method == "POST"]
    mounts = [path for path in posts if "mount=" in path]
    assert {path.rpartition("from=")[2] for path in mounts} == {"src%2Fhello-invoc", "src%2Fmulti"}
    assert len(posts) == len(mounts) + 1  # the bundle's config is nowhere else


def test_layers_that_are_elsewhere_are_named_and_not_copied(run: Run, registry: FaultyRegistry) -> None:
    media_type, content = registry.manifests["src/hello-invoc", "0.1.0"]
    manifest = json.loads(content)
    manifest["layers"].append(
        {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "size": 9,
         "digest": f"sha256:{'0' * 64}", "urls": ["https://elsewhere.invalid/layer"]}
    )  # fmt: skip
    registry.manifests["src/hello-invoc", "0.1.0"] = (media_type, json.dumps(manifest).encode())
    write_bundle(registry.host)

    run("cnab", "push", "bundle.json", "-t", f"{registry.host}/a:1", "--auto-update-bundle")

    digest = index_at(registry, "a", "1")["manifests"][1]["digest"]
    assert index_at(registry, "a", digest) == manifest
    assert not registry.seen("0{64}")


def test_images_are_found_where_a_relocation_map_has_them_else_where_they_were(
    run: Run, registry: FaultyRegistry
) -> None:
    bundle = write_bundle(registry.host, multi="src/multi:1", gone="nowhere.invalid/x:1")
    places = {
        "nowhere.invalid/x:1": f"{registry.host}/src/a-oci:1",
        f"{registry.host}/src/multi:1": f"{registry.host}/src/deleted@{MULTI}",
    }
    Path("map.json").write_text(json.dumps(places))

    run("cnab", "push", bundle, "-t", f"{registry.host}/apps/shop:1", "--auto-update-bundle",
        "--from-relocation-map", "map.json")  # fmt: skip

    entries = index_at(registry, "apps/shop", "1")["manifests"]
    assert [entry["annotations"].get("io.cnab.component.name") for entry in entries] == [None, None, "gone", "multi"]
    assert entries[3]["digest"] == MULTI


def test_fixup_and_push_leave_no_tag_of_their_own_and_pull_what_was_fixed(run: Run, registry: FaultyRegistry) -> None:
    bundle = write_bundle(registry.host, multi="src/multi:1")
    target = f"{registry.host}/apps/shop:1"
    run("cnab", "fixup", bundle, "--target", target, "--auto-update-bundle", "--relocation-map", "map.json")
    assert ("apps/shop", "1") not in registry.manifests

    run("cnab", "push", "fixed-bundle.json", "--target", target, "--digest-file", "digest")
    by_digest = pulled(run, f"{registry.host}/apps/shop@{Path('digest').read_text().strip()}")

    assert Path("back.json").read_bytes() == Path("fixed-bundle.json").read_bytes()
    assert Path("back-map.json").read_bytes() == Path("map.json").read_bytes()
    assert pulled(run, target) == by_digest
    assert {tag for repository, tag in registry.manifests if repository == "apps/shop" and ":" not in tag} == {"1"}


def test_what_the_original_drops_is_kept_unless_strict(run: Run, registry: FaultyRegistry) -> None:
    bundle = json.loads(write_bundle(registry.host).read_text())
    bundle |= {"x-ours": {"b": 1}, "definitions": {"a": {"maxItems": 2}}}
    Path("bundle.json").write_text(json.dumps(bundle))
    target = ("-t", f"{registry.host}/a:1", "--auto-update-bundle")

    run("cnab", "push", "bundle.json", *target)
    kept, _ = pulled(run, f"{registry.host}/a:1")
    manifest = index_at(registry, "a", "1")["manifests"][0]["digest"]
    assert (kept["x-ours"], kept["definitions"]) == ({"b": 1}, {"a": {"maxItems": 2}})
    assert index_at(registry, "a", manifest)["layers"] == []

    run("cnab", "push", "bundle.json", *target, "--strict")
    dropped, _ = pulled(run, f"{registry.host}/a:1")
    manifest = index_at(registry, "a", "1")["manifests"][0]["digest"]
    assert "x-ours" not in dropped
    assert dropped["definitions"] == {"a": {}}
    assert index_at(registry, "a", manifest)["layers"] is None


@pytest.mark.parametrize(
    ("image", "code", "words"),
    [
        ({"contentDigest": MULTI, "size": 632}, 6, "digest differs"),
        (
            {"contentDigest": HELLO, "size": 1},
            6,
            "size differs",
        ),
        ({"contentDigest": HELLO, "size": 632, "mediaType": OCI_INDEX}, 6, "media type differs"),
        ({}, 2, 'digest differs ""'),
        ({"imageType": "qcow"}, 2, 'image type "qcow" is not supported'),
        ({"mediaType": "text/plain"}, 2, 'image media type "text/plain" is not supported'),
        ({"image": "Not a name"}, 4, "Not a name"),
    ],
)
def test_a_bundle_that_promises_what_is_not_there_is_refused(
    run: Run, registry: FaultyRegistry, image: dict[str, Any], code: int, words: str
) -> None:
    bundle = json.loads(write_bundle(registry.host).read_text())
    bundle["invocationImages"][0] |= image
    Path("bundle.json").write_text(json.dumps(bundle))

    said = run("cnab", "push", "bundle.json", "-t", f"{registry.host}/a:1", "--push-images=false", exits=code)

    assert words in said.err
    assert "Traceback" not in said.err
    assert ("a", "1") not in registry.manifests


def test_a_file_that_is_no_bundle_is_named(run: Run, registry: FaultyRegistry, tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(bytes(600))
    for command in ("push", "fixup"):
        one_line(
            run("cnab", command, tmp_path / "disk.raw", "-t", f"{registry.host}/a/b:1", exits=7), "disk.raw", "JSON"
        )


def test_a_missing_image_says_every_place_that_was_asked(run: Run, registry: FaultyRegistry) -> None:
    write_bundle(registry.host, "src/missing:1")

    both = run("cnab", "push", "bundle.json", "-t", f"{registry.host}/a:1", exits=4)
    alone = run("cnab", "push", "bundle.json", "-t", f"{registry.host}/a:1", "--no-push-images", exits=4)

    for word in ("src/missing:1: not found", "failed to push local image", "cannot connect to the Docker engine"):
        assert word in both.err
    assert "failed to push local image" not in alone.err


@pytest.mark.parametrize("spoilt", ["index", "manifest", "config"])
def test_nothing_is_written_of_a_bundle_whose_bytes_are_wrong(run: Run, registry: FaultyRegistry, spoilt: str) -> None:
    write_bundle(registry.host)
    run("cnab", "push", "bundle.json", "-t", f"{registry.host}/a:1", "--auto-update-bundle")
    index = index_at(registry, "a", "1")
    entry = index["manifests"][0]
    manifest = index_at(registry, "a", entry["digest"])
    if spoilt == "config":
        digest = manifest["config"]["digest"]
        registry.blobs[digest] = registry.blobs[digest].replace(b"shop", b"shoq")
    elif spoilt == "manifest":
        media_type, content = registry.manifests["a", entry["digest"]]
        registry.manifests["a", entry["digest"]] = (media_type, content.replace(b"config", b"konfig"))
    else:
        digest = str(Digest.of(registry.manifests["a", "1"][1]))
        media_type, content = registry.manifests["a", digest]
        registry.manifests["a", digest] = (media_type, content.replace(b"shop", b"shoq"))
    reference = f"{registry.host}/a@{Digest.of(registry.manifests['a', '1'][1])}"

    said = run("cnab", "pull", reference, "--retries", "0", exits=6)

    assert "digest" in said.err
    assert not Path("pulled.json").exists()
    assert not Path("relocation-map.json").exists()


def test_documents_go_to_standard_output_and_results_are_json(run: Run, registry: FaultyRegistry) -> None:
    write_bundle(registry.host)
    target = f"{registry.host}/a:1"

    fixed = run("cnab", "fixup", "bundle.json", "-t", target, "--auto-update-bundle", "--bundle", "-",
                "--relocation-map", "-")  # fmt: skip
    pushed = run("cnab", "push", "bundle.json", "-t", target, "--auto-update-bundle", "--json")
    both = run("cnab", "pull", target, "--bundle", "-", "--json", exits=2)

    bundle, relocation_map = map(json.loads, fixed.out.splitlines())
    assert bundle["invocationImages"][0]["contentDigest"] == HELLO
    assert relocation_map == {f"{registry.host}/src/hello-invoc:0.1.0": f"{registry.host}/a@{HELLO}"}
    assert pushed.json["digest"] == str(Digest.of(registry.manifests["a", "1"][1]))
    one_line(both, "--json")


def test_files_are_those_of_the_user_and_end_without_a_newline(run: Run, registry: FaultyRegistry) -> None:
    write_bundle(registry.host)
    before = os.umask(0o022)
    try:
        run("cnab", "fixup", "bundle.json", "-t", f"{registry.host}/a:1", "--auto-update-bundle")
    finally:
        os.umask(before)

    for name in ("fixed-bundle.json", "relocation-map.json"):
        assert Path(name).stat().st_mode & 0o777 == 0o644
        assert Path(name).read_bytes().endswith(b"}")


def test_a_login_is_for_the_targets_registry_alone(
    run: Run, registry: FaultyRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_bundle(registry.host)
    (tmp_path / "password").write_text("secret")
    with a_registry() as target, (tmp_path / "password").open() as password:
        target.users["jane"] = "secret"
        monkeypatch.setattr(sys, "stdin", password)
        run("cnab", "push", "bundle.json", "-t", f"{target.host}/a:1", "--auto-update-bundle", "--username", "jane",
            "--password-stdin")  # fmt: skip

        assert ("a", "1") in target.manifests
        assert "jane:secret" in target.secrets_seen()
    assert registry.secrets_seen() == []


def test_plain_http_is_for_the_targets_registry_alone(run: Run, environment: Path) -> None:
    with a_registry(cert="server") as source, a_registry() as target:
        hold_source_images(source)
        write_bundle(source.host)
        words = ("cnab", "push", "bundle.json", "-t", f"{target.host}/a:1", "--auto-update-bundle", "--plain-http")

        refused = run(*words, "--push-images=false", "--retries", "0", exits=3)
        run(*words, "--insecure-registries", source.host)

        assert "certificate" in refused.err
        assert ("a", "1") in target.manifests


def test_a_dry_run_checks_everything_and_sends_nothing(run: Run, registry: FaultyRegistry) -> None:
    write_bundle(registry.host, multi="src/multi:1")
    target = ("-t", f"{registry.host}/a:1")

    fixed = run("cnab", "fixup", "bundle.json", *target, "--auto-update-bundle", "--dry-run")
    rehearsed = run("cnab", "push", "bundle.json", *target, "--auto-update-bundle", "--dry-run", "--json")
    run("cnab", "push", "bundle.json", *target, "--dry-run", exits=2)
    assert sent(registry) == []
    assert f"{registry.host}/src/multi:1 would be {registry.host}/a@{MULTI}" in fixed.out
    assert not Path("fixed-bundle.json").exists()

    pushed = run("cnab", "push", "bundle.json", *target, "--auto-update-bundle", "--json")
    assert pushed.json["digest"] == rehearsed.json["digest"]


def test_options_may_stand_before_the_command(run: Run, registry: FaultyRegistry) -> None:
    write_bundle(registry.host)

    run("--retries", "1", "cnab", "push", "bundle.json", "-t", f"{registry.host}/a:1", "--auto-update-bundle=true")

    assert ("a", "1") in registry.manifests


class TestOtherCommands:
    """A bundle is no image, and none of its images is taken for it."""

    @pytest.fixture
    def reference(self, run: Run, registry: FaultyRegistry) -> str:
        write_bundle(registry.host, multi="src/multi:1")
        run("cnab", "push", "bundle.json", "-t", f"{registry.host}/apps/shop:1", "--auto-update-bundle")
        return f"docker://{registry.host}/apps/shop:1"

    def test_inspect_shows_its_images(self, run: Run, reference: str) -> None:
        said = run("inspect", reference)
        shown = run("inspect", reference, "--json").json

        assert "cnab (a bundle" in said.out
        assert "eci-convert cnab pull" in said.err
        assert (shown["dialect"], shown["parts"]) == ("cnab", [])
        assert [(image["kind"], image["name"], image["digest"]) for image in shown["images"]] == [
            ("invocation", None, HELLO), ("component", "multi", MULTI)
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "words",
        [("extract", "{}", "out"), ("extract", "{}", "--path", "/a=b"), ("inspect", "{}", "--platform", "linux/amd64"),
         ("copy", "{}", "oci:out:x", "--format", "legacy"), ("copy", "{}", "oci:out:x", "--platform", "linux/amd64"),
         ("copy", "{}", "oci:out:x", "--format", "legacy", "--all-platforms"),
         ("copy", "{}", "docker-archive:out.tar:x")],
    )  # fmt: skip
    def test_one_image_of_it_is_not_taken_for_it(self, run: Run, reference: str, words: tuple[str, ...]) -> None:
        said = run(*(word.format(reference) for word in words), exits=8)

        one_line(said, "a CNAB bundle")
        assert "hint: " in said.err
        assert not Path("out").exists()
        assert not Path("out.tar").exists()

    def test_copy_takes_all_of_it_and_says_so(self, run: Run, registry: FaultyRegistry, reference: str) -> None:
        said = run("copy", reference, "oci:out:shop")
        run("copy", "oci:out:shop", f"docker://{registry.host}/other/place:2")

        assert "is a CNAB bundle: all of its images are copied" in said.err
        assert registry.manifests["other/place", "2"] == registry.manifests["apps/shop", "1"]
        bundle, places = pulled(run, f"{registry.host}/other/place:2")
        assert bundle["images"]["multi"]["contentDigest"] == MULTI
        assert places[f"{registry.host}/src/multi:1"] == f"{registry.host}/other/place@{MULTI}"

    def test_its_images_can_be_named(self, run: Run, registry: FaultyRegistry, reference: str) -> None:
        assert run("inspect", f"docker://{registry.host}/apps/shop@{HELLO}", "--json").json["digest"] == HELLO

    def test_verify_checks_all_of_it(self, run: Run, reference: str) -> None:
        assert run("verify", reference, "--json").json["good"] is True


def test_a_link_by_the_originals_name_is_the_original(registry: FaultyRegistry, tmp_path: Path) -> None:
    write_bundle(registry.host)
    link = tmp_path / "cnab-to-oci"
    link.write_text("import sys; from eci_convert.cli import main; sys.exit(main())")
    command = [sys.executable, str(link), "push", "bundle.json", "-t", f"{registry.host}/a:1", "--auto-update-bundle"]

    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Pushed successfully, with digest ")
    assert done.stderr.splitlines()[0] == f"Starting to copy image {registry.host}/src/hello-invoc:0.1.0..."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("push", "bundle.json"), "--target flag must be set with a namespace "),
        (("fixup", "bundle.json"), "invalid reference format"),
        (("push",), "accepts 1 arg(s), received 0"),
        (("pull", "a", "b"), "accepts 1 arg(s), received 2"),
        (("push", "nope.json", "-t", "a/b"), "open nope.json: no such file or directory"),
        (("push", "--log-level", "foo", "x", "-t", "a"), 'not a valid logrus Level: "foo"'),
        (("--nope", "push"), "unknown flag: --nope"),
        (("push", "-x"), "unknown shorthand flag: 'x' in -x"),
        (("push", "-t"), "flag needs an argument: 't' in -t"),
        (("push", "--push-images=perhaps", "x"), 'invalid argument "perhaps" for "--push-images" flag'),
        (("frobnicate",), 'unknown command "frobnicate" for "cnab-to-oci"'),
    ],
)
def test_wrong_words_are_answered_as_the_original_does(
    run: Run, environment: Path, words: tuple[str, ...], message: str
) -> None:
    write_bundle("localhost:1")

    said = run("cnab-to-oci", *words, exits=1)

    assert said.out == ""
    assert said.err.startswith(f"Error: {message}")


@pytest.mark.parametrize("words", [(), ("--help",), ("help",), ("push", "-h"), ("version",)])
def test_help_and_version_are_results(run: Run, environment: Path, words: tuple[str, ...]) -> None:
    said = run("cnab-to-oci", *words)

    assert said.out
    assert said.err == ""


@pytest.mark.parametrize("verb", ["fixup", "push", "pull"])
def test_every_verb_has_help_with_examples(run: Run, environment: Path, verb: str) -> None:
    said = run("cnab", verb, "--help").out

    assert f"eci-convert cnab {verb} " in said.partition("Examples:")[2]
