"""Ed25519 keys: a private one in a file, public ones by their ids."""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from core.canonical import sha256_hex
from core.errors import GateError
from core.store.files import sync_folder

KEY_BYTES = 32
KEY_ID_PATTERN = r"^[0-9a-f]{64}$"
_PEM_LIMIT = 2**14


class SigningKeyUnusable(GateError):
    """The file that should hold the private key cannot be read, or holds something else."""

    code = "signing_key_unusable"


@dataclass(frozen=True)
class PublicKey:
    """`raw`: the 32 bytes of RFC 8032. Raises `ValueError` for any other number of them."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_BYTES:
            raise ValueError(f"an Ed25519 key has {KEY_BYTES} bytes, not {len(self.raw)}")

    @property
    def id(self) -> str:
        """SHA-256 (hex) of the key in DER, as `openssl pkey -pubout -outform DER` writes it."""
        der = self._key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return sha256_hex(der)

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        try:
            self._key().verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def _key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.raw)


class SigningKey:
    """A private key. It shows itself to nobody but the file it is saved in."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def new(cls) -> "SigningKey":
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> "SigningKey":
        """Raises `SigningKeyUnusable`, which says what is wrong, and shows nothing of the file."""
        try:
            with path.open("rb") as file:
                pem = file.read(_PEM_LIMIT)
        except OSError as error:
            raise SigningKeyUnusable(f"{path} cannot be read: {error.strerror}") from error
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # without its words, and without what it was made of
            raise SigningKeyUnusable(
                f"{path} is no private key in PEM without a passphrase: make one with"
                " safelora-gate signing-keys create"
            ) from None
        if not isinstance(private, Ed25519PrivateKey):
            raise SigningKeyUnusable(f"{path} is not an Ed25519 key, and only such a key signs")
        return cls(private)

    @property
    def public(self) -> PublicKey:
        raw = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return PublicKey(raw)

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)

    def write_new(self, path: Path) -> None:
        """PKCS #8 in PEM, for its owner alone. Raises `OSError`; `FileExistsError` if it is there.

        A power cut leaves all of it or, at worst, a file that is refused.
        """
        pem = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123  (it is open already)
            file.write(pem)
            file.flush()
            os.fsync(descriptor)
        sync_folder(path.parent)
