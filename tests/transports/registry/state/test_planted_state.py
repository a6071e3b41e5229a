"""What others may have written where our state is kept steers nothing."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from eci_convert.errors import TransportError
from eci_convert.oci.digest import Digest
from eci_convert.testing import FaultyRegistry
from eci_convert.transports.registry import upload_plan
from tests.support.fake_registry.server import a_registry
from tests.support.home_directory import User, noise, once

CHUNK = 256 * 1024
DATA = noise(5 * CHUNK + 1000)
SESSIONS = "/blobs/uploads/"


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHUNK", "SHARED"):
        monkeypatch.setattr(upload_plan, name, CHUNK)


def interrupted(registry: FaultyRegistry, user: User) -> Path:
    """The record of an upload that broke off."""
    registry.misbehave("PATCH", SESSIONS, times=2)
    registry.misbehave("PATCH", SESSIONS, hears=1000, times=1)
    with pytest.raises(TransportError, match=r"connection (reset by peer|closed)"):
        user.sends(registry, once(DATA), retries=0)
    registry.requests.clear()
    (record,) = (user.home / ".local/state/eci-convert/uploads").glob("*.json")
    return record


def test_a_recorded_session_at_another_host_is_sent_nothing(registry: FaultyRegistry, user: User) -> None:
    record = interrupted(registry, user)
    with a_registry("127.0.0.2") as other:
        planted = json.loads(record.read_text())
        planted["location"] = planted["location"].replace(registry.host, other.host)
        record.write_text(json.dumps(planted))

        user.sends(registry, once(DATA))

        assert not other.requests
    assert registry.blobs[str(Digest.of(DATA))] == DATA


@pytest.mark.parametrize("kind", ["pipe", "link", "megabytes"])
def test_a_record_that_is_not_a_small_file_of_ours_is_as_none(
    registry: FaultyRegistry, user: User, tmp_path: Path, kind: str
) -> None:
    record = interrupted(registry, user)
    text = record.read_text()
    record.unlink()
    if kind == "pipe":
        os.mkfifo(record)
    elif kind == "link":
        (tmp_path / "elsewhere").write_text(text)
        record.symlink_to(tmp_path / "elsewhere")
    else:
        record.write_text(text + " " * (2 << 20))
    sending = threading.Thread(target=lambda: user.sends(registry, once(DATA)), daemon=True)
    sending.start()

    sending.join(60)

    assert not sending.is_alive()
    assert registry.blobs[str(Digest.of(DATA))] == DATA
    assert "POST" in [seen.method for seen in registry.seen(SESSIONS)]
