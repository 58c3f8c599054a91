"""One stack for all tests that leave it as they found it."""

from collections.abc import Iterator

import pytest

from chaos.processes import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack
