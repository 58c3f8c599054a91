"""A folder that verified, signed once more in the form of OpenSSF model signing: for platforms that
ask for such a bundle of every model. It needs the extra `model-signing`.

https://github.com/sigstore/model-transparency
"""

from pathlib import Path

from core.attestation.folder import UNREAD
from core.errors import GateError


class BundleNotMade(GateError):
    """There is no bundle; the message says what to do."""

    code = "bundle_not_made"


def write_bundle(folder: Path, private_key: Path, bundle: Path) -> None:
    """Sign the attested files of `folder`, which was just verified, with an EC key in PEM.

    What an attestation does not cover is not covered by the bundle either. Raises `BundleNotMade`.
    """
    try:
        from model_signing import hashing, signing
    except ImportError as error:
        raise BundleNotMade(
            "model signing is not installed: pip install 'safelora-gate[model-signing]'"
        ) from error
    beside = [folder / name for name in sorted(UNREAD) if (folder / name).exists()]
    try:
        signer = signing.Config().use_elliptic_key_signer(private_key=private_key)
        signer.set_hashing_config(hashing.Config().set_ignored_paths(paths=[*beside, bundle]))
        signer.sign(folder, bundle)
    except (ValueError, OSError) as error:
        raise BundleNotMade(
            f"{bundle} was not written: --bundle-key must be an EC private key in PEM without a"
            f" passphrase, and its folder must be there ({type(error).__name__})"
        ) from error
