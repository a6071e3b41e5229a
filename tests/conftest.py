"""Either library, and who did the work."""

import threading
from collections import Counter

import pytest

from eci_convert.compression import decoder


@pytest.fixture(params=["isal", "zlib"])
def library(request, monkeypatch):
    """Both libraries that undo gzip: the second one serves where there is no build of the first."""
    if request.param == "zlib":
        monkeypatch.setattr(decoder, "igzip_lib", None)
    else:
        pytest.importorskip("isal")
    return request.param


@pytest.fixture
def by_thread(monkeypatch):
    """Counts the calls of a module's function, for each thread, by what its name begins with."""

    def begun(module, name):
        counted, original = Counter(), getattr(module, name)

        def counting(*arguments):
            counted[threading.current_thread().name.partition("_")[0]] += 1
            return original(*arguments)

        monkeypatch.setattr(module, name, counting)
        return counted

    return begun
