"""One pair for every attack."""

import pytest

from tests.hostile.llamas import make_llamas
from tests.hostile.making import Folders, make_pair


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return make_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="session")
def llamas(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A pair that stock PEFT can serve."""
    return make_llamas(tmp_path_factory.mktemp("llamas"))
