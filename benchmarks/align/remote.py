"""How many bytes a build downloads from S3, counted beside the server."""

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from benchmarks.align.measure import needed, size
from core.alignments import DEFAULT_RANK
from core.settings import AlignmentSettings
from core.store.settings import StoreSettings
from tests.buckets import BUCKET, access, foreign_bucket
from tests.core.store.faults import running
from tests.counting import CountingProxy
from tests.servers import SeaweedServer
from worker.alignment.build import build_alignment
from worker.alignment.checkpoint_files import open_files
from worker.alignment.pair import Pair

LIMIT = 1.02  # what may be downloaded, next to what is needed


def download(base: Path, aligned: Path, modules: list[str] | None) -> None:
    """Put the pair into a real S3, build it from there, print what the server sent."""
    with SeaweedServer() as seaweed:
        with closing(foreign_bucket(seaweed, "")) as store:
            for model in (base, aligned):
                for path in model.iterdir():
                    store.put_file(f"{model.name}/{path.name}", path)
        port = urlsplit(seaweed.endpoint_url).port or 80
        for asked in (None, modules):
            _count(seaweed, CountingProxy(port), asked)


def _count(seaweed: SeaweedServer, proxy: CountingProxy, modules: list[str] | None) -> None:
    reached = access(seaweed).model_copy(update={"endpoint_url": proxy.url})
    settings = AlignmentSettings(s3_allow=[f"s3://{BUCKET}/"], s3=reached)
    with (
        running(proxy),
        TemporaryDirectory() as target,
        closing(open_files(f"s3://{BUCKET}/base/", settings, StoreSettings())) as base,
        closing(open_files(f"s3://{BUCKET}/aligned/", settings, StoreSettings())) as aligned,
        Pair(base, aligned, modules=modules) as pair,
    ):
        manifest = build_alignment(
            pair, Path(target), dtype="auto", rank=DEFAULT_RANK, step=lambda *_: None
        )
        count = size(needed(pair))
        print(
            f"S3, {', '.join(modules) if modules else 'all'}: {len(manifest.modules)} modules,"
            f" needed {count / 1e9:.3f} GB, sent by the server {proxy.answered / 1e9:.3f} GB,"
            f" ratio {proxy.answered / count:.4f}, allowed {LIMIT}, id {manifest.id}"
        )
