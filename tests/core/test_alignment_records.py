"""What a name stands for: its registration and the outcome of that one's build, never another's."""

from collections.abc import Iterator

import pytest

from core.alignments import AlignmentPolicies, AlignmentRecord
from core.policy import All, Policy
from core.records import Records
from core.store import layout, open_store
from core.store.settings import StoreSettings


@pytest.fixture
def records(store_settings: StoreSettings) -> Iterator[Records]:
    store = open_store(store_settings)
    yield Records(store)
    store.close()


def registered(created_at: str) -> AlignmentRecord:
    return AlignmentRecord(
        name="tiny", state="building", base="/b", aligned="/a", created_at=created_at
    )


def ready(record: AlignmentRecord, alignment_id: str = "a" * 40) -> AlignmentRecord:
    return record.model_copy(update={"state": "ready", "id": alignment_id})


def outcomes(records: Records) -> list[str]:
    return list(records.store.list("alignments/builds/"))


def test_a_build_ends_under_the_name_it_was_registered_by(records: Records) -> None:
    """Its outcome is what the name stands for from then on."""
    record = registered("1")
    records.save_alignment(record)
    assert records.alignment("tiny") == record
    assert records.finish_build(ready(record)) == ready(record) == records.alignment("tiny")


def test_the_first_outcome_stands(records: Records) -> None:
    """Of a build that was delivered twice, in either order."""
    record = registered("1")
    records.save_alignment(record)
    failed = record.as_failed("code", "why", "2")
    assert records.finish_build(failed) == failed
    assert records.finish_build(ready(record)) == failed == records.alignment("tiny")


def test_an_outcome_brings_no_removed_name_back(records: Records) -> None:
    """Whenever the name was removed: between any look and any write there is nothing to undo."""
    record = registered("1")
    records.save_alignment(record)
    records.remove_alignment("tiny")
    assert records.finish_build(ready(record)) is None
    assert records.alignment("tiny") is None
    assert outcomes(records) == []


def test_an_outcome_is_that_of_one_registration_alone(records: Records) -> None:
    """The name was removed and given to another pair while the first was being built."""
    first, second = registered("1"), registered("2")
    records.save_alignment(first)
    records.remove_alignment("tiny")
    records.save_alignment(second)
    assert records.finish_build(ready(first)) == second == records.alignment("tiny")
    assert outcomes(records) == []
    assert records.finish_build(ready(second, "b" * 40)) == ready(second, "b" * 40)


def test_removing_a_name_leaves_nothing_of_it(records: Records) -> None:
    """Neither registration nor outcome, and other names keep theirs."""
    other = registered("1").model_copy(update={"name": "other"})
    for record in (registered("1"), other):
        records.save_alignment(record)
        records.finish_build(ready(record))
    records.remove_alignment("tiny")
    assert records.alignment("tiny") is None
    assert records.alignment("other") == ready(other)
    assert outcomes(records) == [layout.build_outcome("other", "1")]
    assert list(records.alignment_names()) == ["other"]


STRICT = AlignmentPolicies(default_policy=Policy(selection=All(mode="all")), floor=Policy())


def test_policies_are_those_given_last(records: Records) -> None:
    """Before the build has ended and after, whatever its outcome says of them."""
    record = registered("1")
    records.save_alignment(record)
    assert records.give_policies(record, STRICT) == record.under(STRICT)
    assert records.finish_build(ready(record)) == ready(record).under(STRICT)
    assert records.give_policies(record, record.policies) == ready(record)


def test_policies_bring_no_removed_name_back(records: Records) -> None:
    """Nor do they touch the registration that another pair made of it."""
    first, second = registered("1"), registered("2")
    records.save_alignment(first)
    records.remove_alignment("tiny")
    assert records.give_policies(first, STRICT) is None
    records.save_alignment(second)
    assert records.give_policies(first, STRICT) == second == records.alignment("tiny")
    assert list(records.store.list("alignments/policies/")) == []


def test_policies_go_with_their_name(records: Records) -> None:
    """Removing it leaves none of them."""
    record = registered("1")
    records.save_alignment(record)
    records.give_policies(record, STRICT)
    records.remove_alignment("tiny")
    assert list(records.store.list("alignments/")) == []
