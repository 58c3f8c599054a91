"""From an order to an accepted job: agreed on, stored, queued. All of it blocks."""

import logging
from datetime import UTC, datetime

from app.access.callers import Caller
from app.intake.again import copied_again, is_again, of_earlier
from app.intake.arrival import Arrival
from app.intake.callback import check_callback
from app.intake.destination import check_brings_adapter, check_destination
from app.intake.idempotency import EventKey, Idempotency
from app.intake.order import Order
from app.intake.terms import Terms, agree
from app.intake.uploading import content, copied, pinned_inputs
from app.scratch import MakeFolder
from app.services import Services
from core.canonical import digest
from core.errors import QueueError
from core.jobs import (
    Commit,
    InputFile,
    JobRequest,
    JobResult,
    new_job_id,
    now,
    recipe_digest,
)
from core.observing.traces import span
from core.retention import earlier_result
from core.sources import Pinned
from core.store import layout
from core.store.base import ObjectExists
from core.store.layout import ADAPTER_CONFIG
from core.uploads import SCHEME

_log = logging.getLogger(__name__)


def accept(
    services: Services, caller: Caller, order: Order, key: str | EventKey | None, folder: MakeFolder
) -> JobRequest:
    """The job for this order, or the one that its idempotency key made before.

    Once this returns the job is kept whatever happens: a queue that is down delays it only.
    Raises `RequestError` or `StoreError`, and then nothing was accepted.
    """
    with span("accept"):
        return _accepted(services, caller, order, key, folder)


def _accepted(
    services: Services, caller: Caller, order: Order, key: str | EventKey | None, folder: MakeFolder
) -> JobRequest:
    idempotency = Idempotency(services.store, caller.tenant, key, order.digest())
    claimed = idempotency.job_id()
    if claimed is not None:
        standing = services.records.request(caller.tenant, claimed)
        if standing is not None:
            return standing
    check_destination(services.settings, caller, order.destination)
    check_callback(services, caller, order.callback_url)
    if is_again(order.source):
        order = of_earlier(services, caller, order)
    pinned = order.pinned or _pinned(services, caller, order.source)
    terms = agree(
        services.records,
        services.manifests,
        caller,
        alignment=order.alignment,
        policy=order.policy,
        read_config=lambda: _config(services, caller, order, pinned, folder),
    )
    check_brings_adapter(terms.policy, order.destination)
    commit = _earlier_result(services, caller, order, pinned, terms)
    version = pinned.version if _is_sent_ahead(order.source) else None
    if claimed is not None:
        idempotency.check_version(version)
    job_id = claimed or _claimed_id(idempotency, key, order.arrival, version)
    if order.arrival is None or not order.arrival.has_announced(job_id):
        services.records.announce(caller.tenant, job_id)
    if not pinned.files:
        files = _stored(services, caller, job_id, order, commit)
    elif commit is None:
        files = [_own(services, caller, job_id, file, order.source) for file in pinned.files]
    else:
        files = [file.model_copy(update={"key": None}) for file in pinned.files]
    request = JobRequest(
        id=job_id,
        tenant=caller.tenant,
        created_at=now(),
        alignment=terms.alignment,
        policy=terms.policy,
        below_floor=terms.below_floor,
        files=files,
        other_names=sorted(order.other_names + pinned.other_names),
        source=order.source or "upload",
        metadata=order.metadata,
        destination=order.destination,
        callback_url=order.callback_url,
    )
    accepted = keep(services, caller, request, commit, claimed=claimed is not None)
    if commit is not None and order.arrival is not None and accepted == request:
        order.arrival.drop()
    return accepted


def _claimed_id(
    idempotency: Idempotency,
    key: str | EventKey | None,
    arrival: Arrival | None,
    version: str | None,
) -> str:
    """The id of the job to be: what is there is stored under it already, unless the key stands for
    another that was never stored."""
    if arrival is None:
        return idempotency.claim(new_job_id(), version)
    if key is not None:
        arrival.share()
    return idempotency.claim(arrival.job_id)


def keep(
    services: Services,
    caller: Caller,
    request: JobRequest,
    commit: Commit | None = None,
    *,
    claimed: bool,
) -> JobRequest:
    """Store the request, its mark and input being there, and start the job; or the standing one,
    sent at once under the same key. `claimed`: the key stood for it before. Raises `StoreError`.
    """
    try:
        services.records.accept(request)
    except ObjectExists:
        return services.records.request(caller.tenant, request.id) or request
    if claimed:  # its first mark may be so old that it was just taken for abandoned
        services.records.announce(caller.tenant, request.id)
    _log.info("job %s of tenant %s accepted from key %s", request.id, caller.tenant, caller.key_id)
    _start(services, request, commit, is_new=not claimed)
    return request


def _pinned(services: Services, caller: Caller, source: str | None) -> Pinned:
    """What a source holds at this moment; nothing where the files came along."""
    if source is None:
        return Pinned([], [])
    if _is_sent_ahead(source):
        files = pinned_inputs(services, caller, source)
        return Pinned(files, [], digest([[file.name, file.etag] for file in files]))
    return services.sources.pin(source, caller.tenant)


def _is_sent_ahead(source: str | None) -> bool:
    return source is not None and source.startswith(SCHEME)


def _own(
    services: Services, caller: Caller, job_id: str, file: InputFile, source: str | None
) -> InputFile:
    if file.key is None:
        return file
    copy = copied_again if is_again(source) else copied
    return copy(services, caller, job_id, file)


def _config(
    services: Services, caller: Caller, order: Order, pinned: Pinned, folder: MakeFolder
) -> bytes | None:
    """The adapter's config, if it can be had without opening an archive that lies in S3."""
    if ADAPTER_CONFIG in order.stored:
        if order.arrival is not None:
            order.arrival.commit()
        return services.store.get(order.stored[ADAPTER_CONFIG].key or "")
    if ADAPTER_CONFIG in order.files:
        return order.files[ADAPTER_CONFIG].path.read_bytes()
    config = next((file for file in pinned.files if file.name == ADAPTER_CONFIG), None)
    if config is None:
        return None
    if config.key is not None:
        return content(services, config, services.settings.limits.config)
    path = folder() / ADAPTER_CONFIG
    services.sources.fetch(config, path, caller.tenant)
    return path.read_bytes()


def _earlier_result(
    services: Services, caller: Caller, order: Order, pinned: Pinned, terms: Terms
) -> Commit | None:
    """What this tenant got for the same bytes, alignment, policy and engine."""
    known = order.sha256 | {file.name: file.sha256 or "" for file in pinned.files}
    if order.source is not None and not (known and all(known.values())):
        return None  # the bytes are known only once the worker has read them
    if order.destination:
        return None  # the worker has it brought there
    recipe = recipe_digest(
        known,
        terms.alignment,
        terms.policy,
        below_floor=terms.below_floor,
        other_names=order.other_names + pinned.other_names,
    )
    ages = services.settings.retention.of(caller.tenant)
    return earlier_result(services.records, caller.tenant, recipe, ages, datetime.now(UTC))


def _stored(
    services: Services, caller: Caller, job_id: str, order: Order, commit: Commit | None
) -> list[InputFile]:
    """The uploads, in the store; not where their result is there already."""
    if order.arrival is not None and order.stored:
        return order.arrival.inputs(job_id, order.stored, needed=commit is None)
    files = []
    for name, file in sorted(order.files.items()):
        key = None
        if commit is None:
            key = layout.job_input(caller.tenant, job_id, name)
            services.store.put_file(key, file.path)
        files.append(InputFile(name=name, size=file.size, sha256=file.sha256, key=key))
    return files


def _start(services: Services, request: JobRequest, commit: Commit | None, *, is_new: bool) -> None:
    if commit is not None:
        result = JobResult(
            state=commit.state,
            finished_at=now(),
            recipe=commit.recipe,
            commit=commit,
            from_earlier_result=True,
        )
        services.records.finish(request.tenant, request.id, result)
        return
    try:
        services.queue.submit_job(request, is_new=is_new)
    except QueueError as error:
        _log.warning("job %s is stored and not queued yet: %s", request.id, error)
