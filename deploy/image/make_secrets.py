"""Passwords and keys of a gate that has its own Valkey and SeaweedFS, made once.

Usage: make_secrets.py FOLDER. What is there stays as it is. A folder for each who needs it:

    gate/     settings of the API, the workers and the courier
    setup/    settings of what makes the bucket: as gate/, with the store's administrator
    signing/  the private key that the workers sign with
    redis/    who may do what in the Valkey of the queue, and in that of the cache
    store/    the same for SeaweedFS
"""

import json
import secrets
import sys
from hashlib import sha256
from pathlib import Path

from core.attestation.keys import SigningKey

BUCKET = "gate"
_ALL = ["Admin", "Read", "Write", "List", "Tagging"]
_OF_BUCKET = [f"{action}:{BUCKET}" for action in ("Read", "Write", "List", "Tagging")]


def make(folder: Path) -> bool:
    """False where they had been made. Each file is its owner's alone."""
    done = folder / "setup" / "made"
    if done.exists():
        return False
    queue, cache, gate, administrator = (secrets.token_urlsafe(32) for _ in range(4))
    files = {
        "gate/SAFELORA_REDIS__URL": f"redis://:{queue}@queue:6379/0",
        "gate/SAFELORA_ALIGNMENTS__REDIS_URL": f"redis://:{cache}@cache:6379/0",
        **_store_keys("gate", "gate", gate),
        **_store_keys("setup", "setup", administrator),
        "redis/queue.acl": _users(queue),
        "redis/cache.acl": _users(cache),
        "store/s3.json": _identities(gate, administrator),
    }
    for name, text in files.items():
        _write(folder / name, text)
    signing_key = folder / "signing" / "key.pem"
    signing_key.parent.mkdir(parents=True, exist_ok=True)
    signing_key.unlink(missing_ok=True)
    SigningKey.new().write_new(signing_key)
    _write(done, "")
    return True


def _store_keys(folder: str, name: str, secret: str) -> dict[str, str]:
    return {
        f"{folder}/SAFELORA_STORE__S3__ACCESS_KEY_ID": name,
        f"{folder}/SAFELORA_STORE__S3__SECRET_ACCESS_KEY": secret,
    }


def _users(password: str) -> str:
    """Valkey's form. `probe` needs no password and can do nothing but be answered."""
    digest = sha256(password.encode()).hexdigest()
    return (
        f"user default on #{digest} ~* &* +@all\nuser probe on nopass resetchannels -@all +ping\n"
    )


def _identities(gate: str, administrator: str) -> str:
    users = [("gate", gate, _OF_BUCKET), ("setup", administrator, _ALL)]
    identities = [
        {
            "name": name,
            "credentials": [{"accessKey": name, "secretKey": secret}],
            "actions": actions,
        }
        for name, secret, actions in users
    ]
    return json.dumps({"identities": identities}, indent=1)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


if __name__ == "__main__":
    made = make(Path(sys.argv[1]))
    sys.stdout.write("made\n" if made else "made at an earlier start, and kept\n")
