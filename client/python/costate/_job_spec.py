"""What goes along with a request when it becomes a job."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from typing import Any, Generic, TypeVar, Union

from costate import _proto, _rpc
from costate._arrays import invalid
from costate._rpc import Operation, Rpc

_JobSpec = _proto.message("JobSpec")

T = TypeVar("T")

Deadline = Union[datetime.datetime, datetime.timedelta, float, None]
Retention = Union[datetime.timedelta, float, None]

_MAX_KEY = 128
_MAX_PRIORITY = 100
_LONGEST = 1e9  # seconds: three decades


@dataclasses.dataclass(frozen=True)
class JobOptions:
    """The part of a JobSpec that is no request, and the idempotency key."""

    spec: Any
    key: str


@dataclasses.dataclass(frozen=True)
class Queued(Generic[T]):
    """What the server said of a job; T is what its result will be. The clients make a Job of it."""

    message: Any


def job_options(
    *,
    name: str | None = None,
    idempotency_key: str | None = None,
    priority: int = 0,
    deadline: Deadline = None,
    retention: Retention = None,
) -> JobOptions:
    """Checks and converts; see `Client.fit`."""
    spec = _JobSpec(display_name=name or "")
    if not isinstance(priority, int) or abs(priority) > _MAX_PRIORITY:
        raise invalid("priority", f"{priority!r} is no whole number from -100 to 100")
    spec.priority = priority
    if idempotency_key is not None and not 0 < len(idempotency_key) <= _MAX_KEY:
        raise invalid("idempotency_key", f"has 1 to {_MAX_KEY} characters")
    if deadline is not None:
        if not isinstance(deadline, datetime.datetime):
            if idempotency_key is not None:
                raise invalid(
                    "deadline",
                    "with an idempotency_key give a moment (a datetime): a time from now would "
                    "make a repeated call another request",
                )
            seconds = _seconds(deadline, "deadline")
            now = datetime.datetime.now(datetime.timezone.utc)
            deadline = now + datetime.timedelta(seconds=seconds)
        # A datetime without a zone is of this machine's.
        spec.deadline.FromDatetime(deadline.astimezone(datetime.timezone.utc))
    if retention is not None:
        spec.retention.FromNanoseconds(round(_seconds(retention, "retention") * 1e9))
    return JobOptions(spec, idempotency_key or "")


def _seconds(time: datetime.timedelta | float, field: str) -> float:
    seconds = time.total_seconds() if isinstance(time, datetime.timedelta) else float(time)
    if not 0 < seconds <= _LONGEST:
        raise invalid(field, f"{time!r} is no time above 0, and at most {_LONGEST:g} s")
    return seconds


def create(
    options: JobOptions, kind: str, request: Any, timeout: float | None
) -> Operation[Queued[Any]]:
    """Queues a request under the field `kind` of JobSpec."""
    spec = _JobSpec()
    spec.CopyFrom(options.spec)
    getattr(spec, kind).CopyFrom(request)
    # A key of its own makes the second try after a lost answer the same job.
    key = options.key or f"call-{uuid.uuid4().hex}"
    message = _rpc.CREATE_JOB.request_class(spec=spec, idempotency_key=key)
    response = yield Rpc(_rpc.CREATE_JOB, message, timeout)
    return Queued(response.job)
