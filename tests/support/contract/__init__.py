"""What every transport does, as classes of tests that the tests of a transport inherit from.

To test a transport, add `tests/transports/<transport>/test_contract.py` with a subclass of each contract. `opened`
gives an empty store in a temporary directory (and may run a server as long as the store is used); class attributes say
what the transport cannot do:

    class Toy:
        keeps_other_names = False  # one file holds one image

        @contextmanager
        def opened(self, directory: Path) -> Iterator[StoreUnderTest]:
            yield DirectoryStore(directory, "toy:{directory}/{name}.toy")

    class TestToySource(Toy, SourceContract): ...

    class TestToySink(Toy, SinkContract): ...

    class TestToyCatalog(CatalogContract):
        @contextmanager
        def opened(self, directory: Path) -> Iterator[Place]:
            yield Place(reference=f"toy:{directory}/{{}}.toy", root=f"toy:{directory}")

A store that is not made of files has a class of its own with the four methods of `StoreUnderTest`. A store that is
written once, such as an archive, has `ReadOnlyContract` instead of `CatalogContract`. Where a test cannot apply to one
transport, override the method and skip it with the reason.

`sources.SourceContract`, `sinks.SinkContract`, `catalogs.CatalogContract`, `catalogs.ReadOnlyContract`: the tests.
`transports`: the store under test, and stores in files. `docker`: images in a Docker engine.
"""

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("catalogs", "sink_blobs", "sinks", "sources", "transports"))
)
