"""OCI image layouts: what we write, others read, and what others write, we read."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from eci_convert.oci.digest import Digest
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import load_image
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.settings import Settings
from integration.engines.programs import Programs
from tests.support.images import a_container, a_machine, copied


def run(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr}"
    return done.stdout


def layers_of(reference: str) -> list[Digest]:
    """The diff ids of the image, each layer having been read and found right."""
    with open_source(reference, Settings()) as source:
        image = load_image(source)
        for layer in image.manifest.layers:
            load_document(source, layer)
        return list(image.config.diff_ids)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A layout of ours with two images."""
    copied(a_container("gzip").build(), open_sink(f"oci:{tmp_path}/layout:machine", Settings()))
    copied(a_container("none").build(), open_sink(f"oci:{tmp_path}/layout:raw", Settings()))
    return tmp_path / "layout"


def test_skopeo_copies_what_we_write(written: Path, tmp_path: Path, programs: Programs) -> None:
    run(programs.skopeo, "--insecure-policy", "copy", f"oci:{written}:machine", f"oci:{tmp_path}/theirs:machine")

    assert layers_of(f"oci:{tmp_path}/theirs:machine") == list(a_container().diff_ids)


def test_umoci_unpacks_what_we_write(written: Path, tmp_path: Path, programs: Programs) -> None:
    for umoci, tag in ((programs.umoci, "machine"), (programs.umoci_new, "raw")):
        bundle = tmp_path / Path(umoci).parts[1]
        run(umoci, "unpack", "--rootless", "--image", f"{written}:{tag}", bundle)

        assert (bundle / "rootfs/boot/kernel").read_bytes() == b"kernel"
        assert (bundle / "rootfs/root.raw").read_bytes() == b"root" * 300


def test_umoci_changes_a_layout_that_we_wrote_and_we_one_that_it_changed(written: Path, programs: Programs) -> None:
    run(programs.umoci, "config", "--image", f"{written}:machine", "--tag", "changed", "--author", "umoci")
    copied(a_machine().build(), open_sink(f"oci:{written}:artifacts", Settings()))
    listed = run(programs.umoci, "list", "--layout", written).split()
    run(programs.umoci, "gc", "--layout", written)

    assert sorted(listed) == ["artifacts", "changed", "machine", "raw"]
    assert layers_of(f"oci:{written}:changed") == list(a_container().diff_ids)
    assert layers_of(f"oci:{written}:raw") == list(a_container().diff_ids)


def test_oras_reads_artifacts_and_images_of_ours(written: Path, tmp_path: Path, programs: Programs) -> None:
    copied(a_machine().build(), open_sink(f"oci:{written}:artifacts", Settings()))

    manifest = json.loads(run(programs.oras, "manifest", "fetch", "--oci-layout", f"{written}:machine"))
    run(programs.oras, "pull", "--oci-layout", f"{written}:artifacts", "-o", tmp_path / "pulled")

    assert len(manifest["layers"]) == 2
    assert (tmp_path / "pulled/kernel").read_bytes() == b"kernel"


def test_we_read_what_skopeo_umoci_and_oras_write(written: Path, tmp_path: Path, programs: Programs) -> None:
    run(programs.skopeo, "--insecure-policy", "copy", f"oci:{written}:machine", f"oci:{tmp_path}/skopeo")
    run(programs.umoci, "init", "--layout", tmp_path / "umoci")
    run(programs.umoci, "new", "--image", f"{tmp_path}/umoci:empty")
    (tmp_path / "kernel").write_bytes(b"kernel")
    run(programs.umoci, "insert", "--image", f"{tmp_path}/umoci:empty", tmp_path / "kernel", "/kernel")
    run(programs.oras, "push", "--disable-path-validation", "--oci-layout", f"{tmp_path}/oras:1", tmp_path / "kernel")

    assert layers_of(f"oci:{tmp_path}/skopeo") == list(a_container().diff_ids)
    assert len(layers_of(f"oci:{tmp_path}/umoci:empty")) == 1
    with open_source(f"oci:{tmp_path}/oras:1", Settings()) as source:
        [layer] = load_image(source).manifest.layers
        assert load_document(source, layer) == b"kernel"


def test_skopeo_and_we_write_one_layout_in_turn(tmp_path: Path, programs: Programs) -> None:
    layout = tmp_path / "layout"
    copied(a_container("gzip").build(), open_sink(f"oci:{layout}:ours", Settings()))
    run(programs.skopeo, "--insecure-policy", "copy", f"oci:{layout}:ours", f"oci:{layout}:theirs")
    copied(a_container("none").build(), open_sink(f"oci:{layout}:ours", Settings()))

    assert layers_of(f"oci:{layout}:theirs") == layers_of(f"oci:{layout}:ours")
