"""Events of a bucket: a folder becomes a job once both its files are there, whoever tells it."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

import pytest
from httpx2 import Response
from hypothesis import find, given
from hypothesis import strategies as st

from app.hooks.buckets import adapter_folders
from app.hooks.receive import MAX_FOLDERS
from core.s3_places import parse_s3
from core.settings import HookRule, SourceSettings
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL, INPUT_FILES, MLX_MODEL
from core.store.s3 import S3Store
from tests.app.conftest import OpenGate
from tests.app.gate import CONFIG, WEIGHTS, Gate, code_of
from tests.app.senders import SECRET, bearer
from tests.app.test_hooks import jobs
from tests.buckets import BUCKET, access, foreign_bucket
from tests.servers import SeaweedServer

Told = Callable[..., Any]


def records(*keys: str, bucket: str = BUCKET, name: str = "ObjectCreated:Put") -> Any:
    """As AWS sends it, and as MinIO does with `s3:` before the name."""
    return {
        "Records": [
            {
                "eventName": name,
                "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/")}},
            }
            for key in keys
        ]
    }


def filer(
    key: str, *, bucket: str = BUCKET, kind: str = "create", is_directory: bool = False
) -> Any:
    """As SeaweedFS 4.48 sends it, taken down from one, without what is not read."""
    path = f"/buckets/{bucket}/{key}"
    parent, _, name = path.rpartition("/")
    entry = {"name": name, "is_directory": is_directory} if is_directory else {"name": name}
    message = {"new_entry": {**entry, "attributes": {"file_size": 3000}}, "new_parent_path": parent}
    return {"event_type": kind, "key": path, "message": {**message, "delete_chunks": True}}


def eventbridge(key: str, *, bucket: str = BUCKET) -> Any:
    return {
        "id": str(uuid4()),
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": bucket}, "object": {"key": key, "sequencer": "00"}},
    }


SHAPES: dict[str, Told] = {"records": records, "filer": filer, "eventbridge": eventbridge}


@pytest.fixture
def folder() -> str:
    return uuid4().hex


@pytest.fixture
def theirs(seaweed: SeaweedServer, folder: str) -> Iterator[S3Store]:
    store = foreign_bucket(seaweed, folder)
    yield store
    store.close()


@pytest.fixture
def open_bucket(open_gate: OpenGate, seaweed: SeaweedServer, folder: str) -> Callable[..., Gate]:
    def opened(**rule: Any) -> Gate:
        own = {"kind": "s3", "secret": SECRET, "prefix": f"s3://{BUCKET}/{folder}/in/", **rule}
        gate = open_gate(
            hooks={"bucket": HookRule(**own)},
            sources=SourceSettings(s3_allow=[f"s3://{BUCKET}/{folder}/"], s3=access(seaweed)),
        )
        gate.register()
        return gate

    return opened


@pytest.fixture
def gate(open_bucket: Callable[..., Gate]) -> Gate:
    return open_bucket()


def tell(gate: Gate, event: Any) -> Response:
    return gate.client.post("/v1/hooks/bucket", json=event, headers=bearer(b""))


def put(store: S3Store, place: str, *names: str) -> None:
    for name in names or (ADAPTER_MODEL, ADAPTER_CONFIG):
        store.put(f"in/{place}/{name}", CONFIG if name == ADAPTER_CONFIG else WEIGHTS)


@pytest.mark.parametrize("told", SHAPES)
@pytest.mark.parametrize(
    "order", [(ADAPTER_MODEL, ADAPTER_CONFIG), (ADAPTER_CONFIG, ADAPTER_MODEL)]
)
def test_folder_becomes_a_job_once_both_files_are_there(
    gate: Gate, theirs: S3Store, folder: str, told: str, order: tuple[str, str]
) -> None:
    """In either order; each event sent again is answered with the same job."""
    first, last = (SHAPES[told](f"{folder}/in/a b+ü/{name}") for name in order)
    put(theirs, "a b+ü", order[0])
    response = tell(gate, first)
    assert (response.status_code, response.json()) == (200, {"waiting": order[1]})
    put(theirs, "a b+ü", order[1])
    response = tell(gate, last)
    assert response.status_code == 202
    assert response.json()["source"] == f"s3://{BUCKET}/{folder}/in/a b+ü/"
    assert {tell(gate, event).json()["id"] for event in (first, last)} == {response.json()["id"]}
    assert len(jobs(gate)) == 1


def test_both_events_at_once_make_one_job(gate: Gate, theirs: S3Store, folder: str) -> None:
    """Whichever is quicker: one conditional put decides."""
    put(theirs, "a")
    events = [filer(f"{folder}/in/a/{name}") for name in (ADAPTER_MODEL, ADAPTER_CONFIG)] * 4
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda event: tell(gate, event), events))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(gate.queued()) == 1


def test_each_version_of_the_files_is_a_job(gate: Gate, theirs: S3Store, folder: str) -> None:
    """Pinned as it was seen. The first bytes put back are a version of their own: what was made of
    the second must not stand for them."""
    put(theirs, "a")
    event = records(f"{folder}/in/a/{ADAPTER_MODEL}")
    first = gate.request_of(tell(gate, event))
    theirs.put(f"in/a/{ADAPTER_MODEL}", b"other weights")
    second = gate.request_of(tell(gate, event))
    assert first.id != second.id
    etags = [{f.name: f.etag for f in job.files} for job in (first, second)]
    assert etags[0][ADAPTER_MODEL] != etags[1][ADAPTER_MODEL]
    assert etags[0][ADAPTER_CONFIG] == etags[1][ADAPTER_CONFIG]
    key = f"in/a/{ADAPTER_MODEL}"
    before = modified = theirs_modified(theirs, key)
    while modified == before:  # a store tells times by the second
        theirs.put(key, WEIGHTS)
        modified = theirs_modified(theirs, key)
    third = gate.request_of(tell(gate, event))
    assert {f.name: f.etag for f in third.files} == etags[0]
    assert len({job["id"] for job in jobs(gate)}) == 3


def theirs_modified(store: S3Store, key: str) -> datetime | None:
    info = store.info(key)
    assert info is not None
    return info.modified


def test_one_event_may_tell_of_several_adapters(gate: Gate, theirs: S3Store, folder: str) -> None:
    """A job for each that is whole, and what the others wait for."""
    put(theirs, "a")
    put(theirs, "b", ADAPTER_CONFIG)
    put(theirs, "c", MLX_MODEL, ADAPTER_CONFIG)
    keys = [f"{folder}/in/{name}" for name in (f"a/{ADAPTER_MODEL}", f"a/{ADAPTER_CONFIG}")]
    keys += [f"{folder}/in/{place}/{ADAPTER_CONFIG}" for place in "bcd"]
    response = tell(gate, records(*keys, name="s3:ObjectCreated:CompleteMultipartUpload"))
    assert response.status_code == 202
    answer = response.json()
    assert [job["source"].split("/")[-2] for job in answer["jobs"]] == ["a", "c"]
    assert [list(other) for other in answer["others"]] == [["waiting"], ["ignored"]]
    many = [f"{folder}/in/{number}/{ADAPTER_CONFIG}" for number in range(MAX_FOLDERS + 1)]
    assert code_of(tell(gate, records(*many))) == "hook_event_invalid"


def test_one_that_is_refused_holds_up_no_other(gate: Gate, theirs: S3Store, folder: str) -> None:
    """The answer is the refusal, so that it is seen; sent again, the others are the same jobs."""
    put(theirs, "a")
    put(theirs, "b")
    theirs.put("in/a/checkpoint-1/optimizer.pt", b"x")
    event = records(*(f"{folder}/in/{place}/{ADAPTER_CONFIG}" for place in "ab"))
    for _ in range(2):
        assert code_of(tell(gate, event)) == "source_not_flat"
        assert [job["source"].split("/")[-2] for job in jobs(gate)] == ["b"]


def test_what_is_no_new_adapter_is_ignored(gate: Gate, theirs: S3Store, folder: str) -> None:
    """Other prefixes, other files, folders, deletes, other buckets, and events of other things."""
    put(theirs, "a")
    key = f"{folder}/in/a/{ADAPTER_MODEL}"
    events = [
        records(key, name="ObjectRemoved:Delete"),
        records(f"{folder}/in/a/README.md"),
        records(f"{folder}/inside/a/{ADAPTER_MODEL}"),
        records(f"{folder}/{ADAPTER_MODEL}"),
        records(f"{folder}/in/../in/a/{ADAPTER_MODEL}"),
        records(f"{folder}/in/%2e%2e/in/a/{ADAPTER_MODEL}"),
        records(key, bucket="gate"),
        records(key, bucket=f"{BUCKET}/x"),
        records(),
        filer(key, kind="delete"),
        filer(f"{folder}/in/{ADAPTER_MODEL}", is_directory=True),
        {**filer(key), "message": {"old_entry": {"name": ADAPTER_MODEL}}},
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET},
        {},
    ]
    for event in events:
        response = tell(gate, event)
        assert (response.status_code, list(response.json())) == (200, ["ignored"]), event
    assert jobs(gate) == []


def test_adapter_that_is_gone_again_is_ignored(gate: Gate, folder: str) -> None:
    """Events may come late."""
    response = tell(gate, filer(f"{folder}/in/a/{ADAPTER_MODEL}"))
    assert (response.status_code, list(response.json())) == (200, ["ignored"])


def test_rule_may_be_narrower_than_the_bucket(
    open_bucket: Callable[..., Gate], theirs: S3Store, folder: str
) -> None:
    """`when` looks at the event itself; labels are made of the folder."""
    gate = open_bucket(
        when={"event_type": "create"}, metadata={"run": "{folder}", "in": "{bucket}"}
    )
    put(theirs, "team/a")
    key = f"{folder}/in/team/a/{ADAPTER_MODEL}"
    assert list(tell(gate, filer(key, kind="update")).json()) == ["ignored"]
    assert tell(gate, filer(key)).json()["metadata"] == {"run": "team/a", "in": BUCKET}


def test_destination_is_the_folders_own(
    open_bucket: Callable[..., Gate], theirs: S3Store, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made of its path under the prefix, and asked for like a caller's."""
    asked: list[str | None] = []
    monkeypatch.setattr(
        "app.intake.accept.check_destination", lambda _, __, wanted: asked.append(wanted)
    )
    gate = open_bucket(destination=f"s3://{BUCKET}/clean/{{+folder}}/")
    put(theirs, "team/a")
    put(theirs, "team b")
    job = tell(gate, records(f"{folder}/in/team/a/{ADAPTER_MODEL}")).json()
    assert job["destination"] == f"s3://{BUCKET}/clean/team/a/"
    assert asked == [job["destination"]]
    odd = tell(gate, records(f"{folder}/in/team b/{ADAPTER_MODEL}"))
    assert code_of(odd) == "hook_value_invalid"
    assert len(jobs(gate)) == 1


NAME = st.sampled_from(
    ["in", "..", ".", "", "a", "%2e%2e", "x/../..", "\x00", "é", "..%2f", "%", "+", *INPUT_FILES]
)
SEGMENTS = st.lists(NAME, max_size=4)
NEAR = st.builds(
    lambda names, last: "/".join(["in", *names, last]), SEGMENTS, st.sampled_from(INPUT_FILES)
)
KEY = NEAR | SEGMENTS.map("/".join)
LEAF = st.one_of(st.none(), st.booleans(), st.integers(), KEY, st.text(max_size=5))
JSON = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=2), max_leaves=4)
TOLD = list(SHAPES.values())
BUCKETS = st.sampled_from(["abc", "abc", "abc", "abcd", "ab", "abc/in", "../abc", ""])
EVENT = st.one_of(
    st.builds(lambda told, key: told(key, bucket="abc"), st.sampled_from(TOLD), NEAR),
    st.builds(lambda key, bucket: records(key, bucket=bucket), KEY, BUCKETS),
    st.builds(lambda key, bucket: filer(key, bucket=bucket), KEY, BUCKETS | KEY),
    st.builds(lambda key, bucket: eventbridge(key, bucket=bucket), KEY | JSON, BUCKETS | JSON),
    st.fixed_dictionaries({"Records": JSON | st.lists(st.fixed_dictionaries({"s3": JSON}))}),
    st.fixed_dictionaries({"event_type": JSON, "message": JSON}),
    st.fixed_dictionaries(
        {
            "event_type": st.just("create") | JSON,
            "message": st.fixed_dictionaries({"new_entry": JSON, "new_parent_path": JSON}),
        }
    ),
)


def test_events_of_the_property_reach_the_prefix() -> None:
    """Else it would hold of nothing."""
    found = find(EVENT, lambda event: bool(adapter_folders(event, "s3://abc/in/")))
    assert found


@given(EVENT)
def test_no_event_leads_out_of_the_prefix(event: Any) -> None:
    """Whatever names the uploader gave to objects, and whatever the shape."""
    for place in adapter_folders(json.loads(json.dumps(event)), "s3://abc/in/"):
        assert str(place).startswith("s3://abc/in/")
        assert parse_s3(str(place)) == place
        assert place.is_folder
        assert not {"..", "."} & set(place.key.split("/"))
