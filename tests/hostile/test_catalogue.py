"""Every attack of the catalogue, through the whole pipeline."""

from pathlib import Path

import pytest

from core.errors import AdapterRejected
from tests.hostile.attack import Attack
from tests.hostile.configs import CONFIGS
from tests.hostile.files import FILES, PAYLOAD
from tests.hostile.making import Folders, sanitize_upload
from tests.hostile.mlx_configs import MLX_CONFIGS
from tests.hostile.mlx_tensors import MLX_TENSORS
from tests.hostile.tensors import TENSORS

CATALOGUE = [*CONFIGS, *TENSORS, *FILES, *MLX_CONFIGS, *MLX_TENSORS]


@pytest.mark.parametrize("attack", CATALOGUE, ids=lambda attack: ascii(attack.name)[1:-1])
def test_attack_is_refused_by_name_and_nothing_is_written(
    attack: Attack, pair: Folders, tmp_path: Path
) -> None:
    """Exactly its own finding names what is wrong, nothing is written, the upload stays as is."""
    upload = attack.upload
    with pytest.raises(AdapterRejected) as rejected:
        sanitize_upload(upload, pair, tmp_path, attack.policy)
    refused = [f for f in rejected.value.findings if f.outcome == "refused"]
    assert sorted((f.code, f.subject) for f in refused) == attack.expected
    assert all(f.why and f.action for f in refused)
    assert list((tmp_path / "output").iterdir()) == []
    on_disk = {p.name: p.read_bytes() for p in (tmp_path / "upload").iterdir()}
    assert on_disk == upload.files()


def test_no_pickle_of_the_catalogue_was_run() -> None:
    """Code in a pickle is never executed."""
    assert not PAYLOAD.exists()


def test_names_in_the_catalogue_are_unique() -> None:
    """Each attack can be told from the others by its name."""
    names = [attack.name for attack in CATALOGUE]
    assert len(names) == len(set(names))
