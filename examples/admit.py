"""Take an adapter onto the shelf only if a gate that we trust sanitized it, strictly enough."""

import shutil
import sys
from pathlib import Path

from core.attestation.key_set import parse_key_set
from core.attestation.verify import Requirements, verify_folder
from core.policy import parse_policy

arrived, shelf, trust = map(Path, sys.argv[1:])  # trust: keys.json and floor.json, kept by us
own = shelf / f".{arrived.name}"
shutil.copytree(arrived, own, symlinks=True)  # what is verified is ours: nobody else writes to it
keys = parse_key_set((trust / "keys.json").read_bytes())
floor = parse_policy((trust / "floor.json").read_bytes())
outcome = verify_folder(own, keys, Requirements(policy=floor, engine="0.2.0"))
if not outcome.verified:
    shutil.rmtree(own)
    sys.exit("\n".join(f"{p.code}: {p.subject}: {p.message}" for p in outcome.problems))
own.rename(shelf / arrived.name)
