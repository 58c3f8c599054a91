"""How long things are kept, and which earlier results may be answered with."""

import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.jobs import Commit, JobState
from core.records import Records
from core.report import FileFacts, Summary
from core.retention import commit_result, earlier_result, is_older
from core.settings import Ages, RetentionSettings, Settings, SettingsInvalid, load_settings
from core.store import layout
from core.store.base import ObjectInfo, ObjectStore

TENANT, RECIPE = "acme", "0" * 40
FILES = ("adapter_config.json", "adapter_model.safetensors")
MONTH = Ages(results=30)
FOR_EVER = Ages(results=None)


@pytest.fixture
def records(store: ObjectStore) -> Records:
    return Records(store)


def in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def commit_of(output: str) -> Commit:
    return Commit(
        recipe=RECIPE,
        state=JobState.SUCCEEDED,
        verdict="projected",
        output=output,
        files=[FileFacts(name=name, size=1, sha256="0" * 64) for name in FILES],
        summary=Summary(),
    )


def store_files(records: Records, output: str) -> None:
    for name in FILES:
        records.store.put(layout.output(TENANT, RECIPE, output, name), b"x")


def puts_seen(records: Records, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """Key and bytes of each put from here on."""
    seen: list[tuple[str, bytes]] = []
    put = records.store.put

    def watched(key: str, data: bytes, *, if_absent: bool = False) -> ObjectInfo:
        info = put(key, data, if_absent=if_absent)
        seen.append((key, data))
        return info

    monkeypatch.setattr(records.store, "put", watched)
    return seen


def test_tenants_have_ages_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a tenant's entry leaves out is as for all; `keep` and null are for ever."""
    monkeypatch.setenv("SAFELORA_RETENTION__INPUTS", "2")
    monkeypatch.setenv("SAFELORA_RETENTION__RESULTS", "90")
    monkeypatch.setenv(
        "SAFELORA_RETENTION__TENANTS", '{"acme": {"inputs": "keep"}, "umbrella": {"results": null}}'
    )
    retention = Settings().retention
    assert retention.of("acme") == Ages(inputs=None, results=90, jobs=None)
    assert retention.of("umbrella") == Ages(inputs=2, results=None, jobs=None)
    assert retention.of("other") == Ages(inputs=2, results=90, jobs=None)


def test_by_default_only_inputs_and_keys_go() -> None:
    """Jobs and results stay until the operator says otherwise."""
    assert RetentionSettings().of("any") == Ages(inputs=7, results=None, jobs=None)
    assert RetentionSettings().idempotency == 30


def test_everything_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them takes the word."""
    for name in ("INPUTS", "RESULTS", "JOBS", "IDEMPOTENCY"):
        monkeypatch.setenv(f"SAFELORA_RETENTION__{name}", "keep")
    retention = load_settings().retention
    assert retention.of("any") == Ages(inputs=None, results=None, jobs=None)
    assert retention.idempotency is None


def test_the_manuals_examples_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """They can be copied."""
    page = (Path(__file__).parents[2] / "docs/retention.md").read_text()
    found = []
    for words in re.findall("    export (.*)\n", page):
        for word in shlex.split(words):
            name, _, value = word.partition("=")
            monkeypatch.setenv(name, value)
            found.append(name)
    load_settings()
    assert len(found) == 6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INPUTS", "0"),
        ("INPUTS", "never"),
        ("RESULTS", "-1"),
        ("JOBS", "nan"),
        ("JOBS", "inf"),
        ("JOBS", "0.01"),
        ("ABANDONED", "0.5"),
        ("EVERY", "0"),
        ("TENANTS", '{"../x": {}}'),
    ],
)
def test_an_age_that_is_none_is_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variable's name, at the start: nothing is deleted by a slip of the pen."""
    monkeypatch.setenv(f"SAFELORA_RETENTION__{name}", value)
    with pytest.raises(SettingsInvalid, match=f"SAFELORA_RETENTION__{name}"):
        load_settings()


def test_a_result_is_found_while_it_is_whole(records: Records) -> None:
    """One file that is gone makes it no result at all."""
    assert earlier_result(records, TENANT, RECIPE, FOR_EVER, in_days(0)) is None
    store_files(records, "out")
    commit = records.commit(TENANT, commit_of("out"))
    for ages in (FOR_EVER, MONTH):
        assert earlier_result(records, TENANT, RECIPE, ages, in_days(0)) == commit

    records.store.delete(layout.output(TENANT, RECIPE, "out", FILES[0]))
    for ages in (FOR_EVER, MONTH):
        assert earlier_result(records, TENANT, RECIPE, ages, in_days(0)) is None


@pytest.mark.parametrize("seen", [False, True])
def test_a_commit_that_goes_while_it_is_looked_at_is_none(
    records: Records, seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are about to go too, and it is not brought back."""
    store_files(records, "out")
    records.commit(TENANT, commit_of("out"))
    commit, look_up = layout.commit(TENANT, RECIPE), records.store.info

    def gone_by_then(key: str) -> ObjectInfo | None:
        info = look_up(key)
        if key != commit:
            return info
        records.store.delete(commit)
        return info if seen else None

    monkeypatch.setattr(records.store, "info", gone_by_then)
    assert earlier_result(records, TENANT, RECIPE, MONTH, in_days(40)) is None
    assert look_up(commit) is None


def test_what_has_no_known_age_is_not_old() -> None:
    """A store may not say, and what is gone is no matter of age."""
    unknown = ObjectInfo(key="a", size=1, etag="x")
    assert not is_older(unknown, timedelta(0), in_days(0))
    assert not is_older(None, timedelta(0), in_days(0))


@pytest.mark.parametrize(
    ("ages", "days", "renewed"),
    [(MONTH, 14, False), (MONTH, 16, True), (MONTH, 100, True), (FOR_EVER, 1000, False)],
)
def test_a_result_that_is_used_stays(
    records: Records, ages: Ages, days: float, renewed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past half its age the commit is put anew, with the same bytes, so that it has all of it."""
    store_files(records, "out")
    commit = records.commit(TENANT, commit_of("out"))
    key = layout.commit(TENANT, RECIPE)
    data = records.store.get(key)
    puts = puts_seen(records, monkeypatch)

    assert earlier_result(records, TENANT, RECIPE, ages, in_days(days)) == commit
    assert puts == [(key, data)] * renewed


def test_the_first_commit_stands(records: Records) -> None:
    """While its files do, whatever another worker made of the same recipe."""
    store_files(records, "out")
    first = commit_result(records, TENANT, commit_of("out"), MONTH, in_days(0))
    store_files(records, "other")
    assert commit_result(records, TENANT, commit_of("other"), MONTH, in_days(0)) == first


def test_a_commit_without_its_files_is_replaced(records: Records) -> None:
    """By one whose files are there, so that no job ends with a result that is not."""
    records.commit(TENANT, commit_of("gone"))
    store_files(records, "other")
    commit = commit_result(records, TENANT, commit_of("other"), FOR_EVER, in_days(0))
    assert commit.output == "other"
    assert records.committed(TENANT, RECIPE) == commit


def test_files_put_again_make_an_old_commit_whole_and_young(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit that stood without them is as good as new."""
    old = records.commit(TENANT, commit_of("out"))
    store_files(records, "out")
    puts = puts_seen(records, monkeypatch)
    assert commit_result(records, TENANT, commit_of("out"), MONTH, in_days(40)) == old
    assert puts == [(layout.commit(TENANT, RECIPE), old.as_bytes())]
