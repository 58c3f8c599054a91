"""Every forgery is told by its code, and what is honest still verifies."""

import json
from pathlib import Path

import pytest

from core.attestation.key_set import KeySet, jwk, parse_key_set
from core.policy import Policy
from tests.attested import SINCE, codes, key_set, publish, report, verified
from tests.hostile.attestations import FORGERIES, WEAKER
from tests.hostile.forging import EC_KID, GATE, RETIRED, RSA_KID, Forgery


@pytest.fixture(scope="module")
def keys() -> KeySet:
    """Those of a gate that had another key before, among keys of others."""
    document = json.loads(key_set([GATE], [RETIRED]))
    document["keys"] += [
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": EC_KID},
        {"kty": "RSA", "n": "AA", "e": "AQAB", "kid": RSA_KID},
    ]
    return parse_key_set(json.dumps(document).encode())


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda f: ascii(f"{f.code}: {f.name}")[1:-1])
def test_forgery_is_told_by_its_code(forgery: Forgery, keys: KeySet, tmp_path: Path) -> None:
    """Before the change the folder verifies; after it one problem is named, and it does not."""
    folder = publish(tmp_path / "adapter", GATE)
    assert verified(folder, keys).verified
    forgery.change(folder)
    outcome = verified(folder, keys)
    assert codes(outcome) == [forgery.code]
    assert not outcome.verified
    [problem] = outcome.problems
    assert problem.subject.isprintable()
    assert problem.message.isprintable()


def test_each_code_has_its_forgery() -> None:
    """A code that nothing leads to is worth nothing; names tell the table's lines apart."""
    assert len({(f.code, f.name) for f in FORGERIES}) == len(FORGERIES)
    source = Path("core/attestation")
    words = "".join(path.read_text() for path in source.glob("*.py"))
    assert all(f'"{f.code}"' in words for f in FORGERIES)


@pytest.mark.parametrize(("name", "policy"), WEAKER, ids=[name for name, _ in WEAKER])
def test_weaker_policy_does_not_pass(
    name: str, policy: Policy, keys: KeySet, tmp_path: Path
) -> None:
    """Honestly attested, and below what is required: it does not count."""
    folder = publish(tmp_path / name, GATE, report(policy))
    assert verified(folder, keys).verified
    assert verified(folder, keys, policy=policy).verified
    outcome = verified(folder, keys, policy=Policy())
    assert codes(outcome) == ["policy_below_floor"]


def test_retired_key_is_no_key_for_who_knows_nothing_of_retiring() -> None:
    """A stock reader of key sets looks at `keys` alone."""
    document = json.loads(key_set([GATE], [RETIRED]))
    assert [entry["kid"] for entry in document["keys"]] == [GATE.public.id]


def test_key_that_is_marked_retired_among_the_others_is_not_trusted(tmp_path: Path) -> None:
    """Wherever the mark stands, and though the same key stands there without it too."""
    entry = jwk(GATE.public, created_at=SINCE)
    marked = json.dumps({"keys": [entry, {**entry, "retired_at": SINCE}]}).encode()
    folder = publish(tmp_path / "adapter", GATE)
    assert codes(verified(folder, parse_key_set(marked))) == ["key_retired"]
    both = parse_key_set(marked) | parse_key_set(key_set([GATE]))
    assert codes(verified(folder, both)) == ["key_retired"]
