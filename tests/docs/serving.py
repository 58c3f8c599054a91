"""The services that pages are run against."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from boto3.session import Session as Boto3Session

from app.terminal.first_key import new_key, save_keys
from core.store.settings import StoreSettings
from demo import make_pair
from safelora import Gate
from tests.servers import SeaweedServer
from tests.service.running import store_environment
from tests.service.up import key_in, up, url_in

ALIGNMENT = "tiny-chat"


@dataclass(frozen=True)
class Service:
    """`safelora-gate up` on a demo pair. `keys`: one a page, each of a tenant of its own; `key` is
    the one that it printed."""

    said: str
    url: str
    key: str
    keys: Mapping[str, str]
    data: Path
    pair: Path
    worker: int
    environment: Mapping[str, str]

    def prepare(self, *, aligned: bool) -> None:
        """As pages expect it: with the alignment that they name, or without."""
        with Gate(self.url, self.key) as gate:
            found = {alignment.name for alignment in gate.alignments()}
            if ALIGNMENT in found:
                gate.delete_alignment(ALIGNMENT)
            if aligned:
                base, chat = str(self.pair / "base"), str(self.pair / "aligned")
                made = gate.register(ALIGNMENT, base, chat, base_names=["demo/tiny-chat"])
                gate.wait_for_alignment(made)


@contextmanager
def service(
    folder: Path, environment: Mapping[str, str], tenants: tuple[str, ...] = ()
) -> Iterator[Service]:
    """One that has just started, `environment` being further settings of it."""
    pair, data = folder / "pair", folder / "data"
    make_pair.main(pair)
    data.mkdir()
    made = {tenant: new_key() for tenant in tenants}
    entries = [{**entry, "tenant": tenant} for tenant, (_, entry) in made.items()]
    save_keys(data / "keys.json", list(entries))
    flags = ("--checkpoints", str(pair), "--new-key")
    with up(data, *flags, environment=environment) as (process, said):
        yield Service(
            said=said,
            url=url_in(said),
            key=key_in(said),
            keys={tenant: key for tenant, (key, _) in made.items()},
            data=data,
            pair=pair,
            worker=child(process.pid, "run"),
            environment=environment,
        )


def together(settings: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The settings of several pages as those of one service: lists in JSON have what each has.

    Raises `ValueError` where two pages want different things.
    """
    found: dict[str, str] = {}
    for name, value in [pair for page in settings for pair in page.items()]:
        if (before := found.get(name, value)) == value:
            found[name] = value
        elif before.startswith("[") and value.startswith("["):
            found[name] = json.dumps(json.loads(before) + json.loads(value))
        else:
            raise ValueError(f"{name}: pages show different settings")
    return found


def on_s3(seaweed: SeaweedServer, settings: Mapping[str, str]) -> dict[str, str]:
    """Settings of a service on S3; the buckets that `settings` name are made. As AWS_… stands what
    a page's own tools read."""
    access = {
        "AWS_ENDPOINT_URL": seaweed.endpoint_url,
        "AWS_ACCESS_KEY_ID": seaweed.access_key_id,
        "AWS_SECRET_ACCESS_KEY": seaweed.secret_access_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    client = Boto3Session().client(
        "s3",
        endpoint_url=access["AWS_ENDPOINT_URL"],
        region_name=access["AWS_DEFAULT_REGION"],
        aws_access_key_id=access["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=access["AWS_SECRET_ACCESS_KEY"],
    )
    there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for name in set(re.findall(r"s3://([a-z0-9-]+)/", json.dumps(dict(settings)))) - there:
        client.create_bucket(Bucket=name)
    client.close()
    store = StoreSettings(kind="s3", s3=seaweed.settings(prefix=uuid4().hex))
    return {**access, **store_environment(store)}


def child(parent: int, last_argument: str) -> int:
    """The process that `parent` started with this as its last argument."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    [found] = [
        child
        for child in children
        if Path(f"/proc/{child}/cmdline").read_text().rstrip("\0").split("\0")[-1] == last_argument
    ]
    return int(found)
