"""A package of several targets that KraftKit made (tests/golden/kraftkit)."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.transports.memory import MemoryStore

GOLDEN = Path(__file__).parents[1] / "golden" / "kraftkit"
MULTI = json.loads((GOLDEN / "registry-multi.json").read_text())


def stored() -> MemoryStore:
    """The package as it lay in KraftKit's store, and in the registry that it was pushed to."""
    store = MemoryStore()
    with tarfile.open(GOLDEN / "store-multi.tar.gz") as archive:
        for member in archive:
            if member.isfile() and "/digests/" in f"/{member.name}":
                file = archive.extractfile(member)
                assert file
                store.blobs[Digest("sha256", member.name.rpartition("/")[2])] = file.read()
    index = MULTI["index"].encode()
    store.blobs[Digest.of(index)] = index
    store.names["package"] = Descriptor.of(index, media_types.OCI_INDEX)
    return store
