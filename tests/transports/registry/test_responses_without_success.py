"""Tests of client.py, manifests.py and push/upload.py: responses that do not mean success, and retries of one step."""

from __future__ import annotations

import pytest

from eci_convert import testing as faults
from eci_convert.errors import DigestMismatchError, TransportError
from eci_convert.testing import FaultyRegistry
from eci_convert.transports.registry.http.retry import TransientError
from tests.support.home_directory import User, noise


@pytest.mark.parametrize(
    ("method", "what"), [("PUT", "/manifests/"), ("POST", "/uploads/"), ("PATCH", "/uploads/"), ("PUT", "/uploads/")]
)
def test_a_redirect_to_something_else_is_not_taken_for_a_success(
    registry: FaultyRegistry, user: User, method: str, what: str
) -> None:
    """Status 303 makes a GET of any request, and a page that can be read was no place to store anything."""
    registry.misbehave(method, what, faults.unheard(faults.status(303, Location="/v2/")), times=99)
    with pytest.raises(TransportError, match=rf"^{method} .*: redirected with status 303: refused"):
        user.pushes(registry, [noise(9_000_000)])
    assert ("machine", "1") not in registry.manifests


def test_a_registry_that_stored_another_manifest_is_found_out(registry: FaultyRegistry, user: User) -> None:
    """As oras checks it: the digest that we print would name nothing."""
    registry.misbehave("PUT", "/manifests/", faults.header("Docker-Content-Digest", f"sha256:{64 * '0'}"))
    with pytest.raises(DigestMismatchError, match="the manifest that the registry stored"):
        user.pushes(registry, [b"kernel"])


@pytest.mark.parametrize("value", [None, "", "none", "md5:00"])
def test_a_registry_that_does_not_say_what_it_stored_is_believed(
    registry: FaultyRegistry, user: User, value: str | None
) -> None:
    registry.misbehave("PUT", "/manifests/", faults.header("Docker-Content-Digest", value))
    user.pushes(registry, [b"kernel"])
    assert ("machine", "1") in registry.manifests


@pytest.mark.parametrize("size", [10, 9_000_000])
@pytest.mark.parametrize("status", [429, 500])
def test_a_session_that_cannot_be_opened_is_tried_for_as_often_as_the_user_says(
    registry: FaultyRegistry, user: User, waits: list[float], size: int, status: int
) -> None:
    registry.misbehave("POST", "/uploads/", faults.unheard(faults.status(status)), times=999)
    with pytest.raises(TransientError) as caught:
        user.sends(registry, [noise(size)], retries=3)
    assert len(registry.seen("/uploads/", "POST")) == 4
    assert len(waits) == 3
    assert [note for note in caught.value.__notes__ if "4 attempts" in note] == caught.value.__notes__[:1]
