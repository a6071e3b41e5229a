"""A registry that refuses an artifactType gets a manifest without, once told and then remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.errors import ManifestRefusedError
from eci_convert.oci.platform import Platform
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.operations.inspect import inspect
from eci_convert.operations.push import PushRequest, push
from eci_convert.reading.local_parts import artifact_from_parts
from eci_convert.testing import FaultyRegistry, refusal
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.settings import Settings
from tests.support.fake_registry.server import a_registry
from tests.support.images import ImageBuilder, IndexBuilder, a_machine, an_index
from tests.support.reporters import Listening


def pushed(host: str, tmp_path: Path, *, auto: bool = True) -> list[str]:
    heard = Listening()
    settings = Settings(environ={"HOME": str(tmp_path)}, reporter=heard, compat="auto" if auto else "strict")
    write = WriteOptions(platform=Platform(os="linux", architecture="amd64"))
    with open_sink(f"docker://{host}/edge/machine:1", settings) as sink:
        push(artifact_from_parts(kernel=b"kernel"), sink, PushRequest(format="artifacts", write=write))
    with open_source(f"docker://{host}/edge/machine:1", settings) as source:
        assert inspect(source).dialect == "eci-artifacts"
    return heard.warnings


def manifests(registry: FaultyRegistry) -> list[bool]:
    """Of each manifest that was sent, whether it had an artifactType."""
    return [b'"artifactType"' in seen.body for seen in registry.seen("/manifests/") if seen.method == "PUT"]


def test_a_refused_artifact_type_is_left_out_and_said_and_remembered(tmp_path: Path) -> None:
    with a_registry() as registry:
        registry.misbehave("PUT", "/manifests/", refusal(400, "MANIFEST_INVALID", "unknown artifactType"))
        [said] = pushed(registry.host, tmp_path)
        assert "MANIFEST_INVALID" in said
        assert "unknown artifactType" in said
        assert pushed(registry.host, tmp_path) == []
        assert manifests(registry) == [True, False, False]


def test_without_leave_to_fall_back_the_refusal_stands_and_says_what_would_do(tmp_path: Path) -> None:
    with a_registry() as registry:
        registry.misbehave("PUT", "/manifests/", refusal(400, "MANIFEST_INVALID", "unknown artifactType"))
        with pytest.raises(ManifestRefusedError) as caught:
            pushed(registry.host, tmp_path, auto=False)
        assert any("--format legacy" in note for note in caught.value.__notes__)
        assert manifests(registry) == [True]


def test_a_refusal_that_has_another_reason_teaches_nothing(tmp_path: Path) -> None:
    """A tag that must stay what it is (ECR, Harbor) is not a registry that is strict about types."""
    with a_registry() as registry:
        registry.misbehave("PUT", "/manifests/", refusal(400, "TAG_INVALID", "the tag is immutable"), times=2)
        with pytest.raises(ManifestRefusedError, match="immutable"):
            pushed(registry.host, tmp_path)
        assert pushed(registry.host, tmp_path) == []
        assert manifests(registry) == [True, False, True]


def copied(host: str, tmp_path: Path, image: ImageBuilder | IndexBuilder, all_platforms: bool = False) -> list[str]:
    heard = Listening()
    settings = Settings(environ={"HOME": str(tmp_path)}, reporter=heard)
    with open_sink(f"docker://{host}/edge/machine:2", settings) as sink:
        copy(image.build(), sink, CopyRequest(format="artifacts", all_platforms=all_platforms))
    with open_source(f"docker://{host}/edge/machine:2", settings) as source:
        assert inspect(source, Platform(os="linux", architecture="amd64")).dialect == "eci-artifacts"
    return heard.warnings


def test_a_copy_falls_back_as_a_push_does(tmp_path: Path) -> None:
    with a_registry() as registry:
        registry.misbehave("PUT", "/manifests/", refusal(400, "MANIFEST_INVALID", "unknown artifactType"))
        [warning] = copied(registry.host, tmp_path, a_machine())
        assert "MANIFEST_INVALID" in warning
        assert pushed(registry.host, tmp_path) == []
        assert manifests(registry) == [True, False, False]


def test_a_copy_of_an_index_falls_back_for_all_of_its_images(tmp_path: Path) -> None:
    index = an_index(a_machine().platform("linux/amd64"), a_machine(b"other").platform("linux/arm64"))
    with a_registry() as registry:
        registry.misbehave("PUT", "/manifests/", refusal(400, "MANIFEST_INVALID", "unknown artifactType"))
        [warning] = copied(registry.host, tmp_path, index, all_platforms=True)
        assert "MANIFEST_INVALID" in warning
        assert manifests(registry) == [True, False, False, False]
