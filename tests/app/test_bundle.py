"""`safelora-gate verify --bundle`: what verified, signed for those who ask for model signing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from model_signing import verifying
from typer.testing import CliRunner, Result

from app.cli import cli
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL
from tests.attested import key_set, publish, seed

KEY = seed(1)
VERIFIED, FAILED, WRONG_ARGUMENTS, NOT_VERIFIED = 0, 1, 2, 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys.json").write_bytes(key_set([KEY]))
    return publish(tmp_path / "adapter", KEY)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """The platform's own key: private and public half."""
    private = ec.generate_private_key(ec.SECP256R1())
    halves = tmp_path / "ec.pem", tmp_path / "ec.pub"
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    halves[0].write_bytes(pem)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    halves[1].write_bytes(public)
    return halves


def bundled(folder: Path, *arguments: str) -> Result:
    keys = str(folder.parent / "keys.json")
    return CliRunner().invoke(cli, ["verify", str(folder), "--keys", keys, *arguments])


def check(folder: Path, bundle: Path, public: Path) -> None:
    """As whoever loads a model does. Raises `ValueError`."""
    verifier = verifying.Config().use_elliptic_key_verifier(public_key=public)
    verifier.set_ignore_unsigned_files(True).verify(folder, bundle)


def test_bundle_verifies_by_model_signing(folder: Path, pair: tuple[Path, Path]) -> None:
    """And covers the adapter: with another byte in it, it does not."""
    bundle = folder.parent / "model.sig"
    done = bundled(folder, "--bundle", str(bundle), "--bundle-key", str(pair[0]))
    assert (done.exit_code, done.stderr) == (VERIFIED, "")
    check(folder, bundle, pair[1])
    for name in (ADAPTER_MODEL, ADAPTER_CONFIG):
        right = (folder / name).read_bytes()
        (folder / name).write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
        with pytest.raises(ValueError):
            check(folder, bundle, pair[1])
        (folder / name).write_bytes(right)


def spoil_adapter(folder: Path, _: Path) -> None:
    (folder / ADAPTER_MODEL).write_bytes(b"x")


def spoil_key(_: Path, private: Path) -> None:
    private.write_bytes(b"no key")


def remove_key(_: Path, private: Path) -> None:
    private.unlink()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [(spoil_adapter, NOT_VERIFIED), (spoil_key, FAILED), (remove_key, FAILED)],
    ids=["not verified", "no key", "no file"],
)
def test_no_bundle_without_a_verified_folder_and_a_key(
    folder: Path, pair: tuple[Path, Path], spoil: Callable[[Path, Path], None], code: int
) -> None:
    """Nothing is written, and nothing on stdout could be taken for a yes."""
    bundle = folder.parent / "model.sig"
    spoil(folder, pair[0])
    done = bundled(folder, "--bundle", str(bundle), "--bundle-key", str(pair[0]))
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr
    assert not bundle.exists()


def test_bundle_and_its_key_go_together(folder: Path) -> None:
    """Else one of them would be passed over in silence."""
    done = bundled(folder, "--bundle", "model.sig")
    assert done.exit_code == WRONG_ARGUMENTS
