"""Jobs: long requests that the server keeps and carries out, whatever happens to the client."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import math
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from costate import _rpc
from costate._job_results import error_of, fetch_result, get_job
from costate._progress import ENDED, STATES, Progress, Watch, make_bar
from costate._rpc import Operation, Rpc
from costate._solution import table_html
from costate.errors import CostateError

if TYPE_CHECKING:
    from costate import aio
    from costate.client import Client

T = TypeVar("T")

PATIENCE = 300.0


class JobInfo:
    """What the server last said of a job.

    Attributes
    ----------
    name
        "jobs/" and an unguessable id: enough to find it again, from anywhere.
    """

    def __init__(self, message: Any) -> None:
        self._message = message
        self.name: str = message.name

    @property
    def state(self) -> str:
        """ "queued", "running", "succeeded", "failed", "cancelled", or "dead": given up after
        repeated failures of the machinery."""
        return STATES.get(self._message.state, str(self._message.state))

    @property
    def ended(self) -> bool:
        """Whether it is neither queued nor running."""
        return self.state in ENDED

    @property
    def kind(self) -> str:
        """What it does: "fit", "profile", "solve", "gradient", ..."""
        return str(self._message.kind)

    @property
    def display_name(self) -> str:
        """Free text that it was given, may be empty."""
        return str(self._message.display_name)

    @property
    def priority(self) -> int:
        """Higher first."""
        return int(self._message.priority)

    @property
    def created(self) -> datetime.datetime:
        """When it was queued, in UTC."""
        return cast(datetime.datetime, _moment(self._message, "create_time"))

    @property
    def started(self) -> datetime.datetime | None:
        """When it first ran, in UTC; None if it has not."""
        return _moment(self._message, "start_time")

    @property
    def finished(self) -> datetime.datetime | None:
        """When it ended, in UTC; None if it has not."""
        return _moment(self._message, "end_time")

    @property
    def tasks(self) -> tuple[int, int]:
        """Parts of it that are done, and parts in all."""
        return self._message.tasks_done, self._message.tasks

    @property
    def starts(self) -> tuple[int, int]:
        """Starts of a fit that have ended, and starts in all; (0, 0) for other jobs."""
        return self._message.fit.starts_done, self._message.fit.starts

    @property
    def best_objective(self) -> float:
        """Of a fit, so far; NaN if there is none."""
        has = self._message.HasField("best_objective")
        return float(self._message.best_objective) if has else math.nan

    @property
    def attempts(self) -> int:
        """Executions started, the first included."""
        return int(self._message.attempts)

    @property
    def cancel_requested(self) -> bool:
        """Whether it was cancelled, and its workers may not have seen it yet."""
        return bool(self._message.cancel_requested)

    @property
    def last_event(self) -> int:
        """Sequence number of the newest event."""
        return int(self._message.last_event)

    @property
    def error(self) -> CostateError | None:
        """Why it has no result: what `result` would raise; None while it runs or has one."""
        return error_of(self._message) if self.ended else None

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        error = self._message.error
        return {
            "name": self.name,
            "display_name": self.display_name,
            "kind": self.kind,
            "state": self.state,
            "cancel_requested": self.cancel_requested,
            "priority": self.priority,
            "created": self.created,
            "started": self.started,
            "finished": self.finished,
            "tasks_done": self.tasks[0],
            "tasks": self.tasks[1],
            "starts_done": self.starts[0],
            "starts": self.starts[1],
            "best_objective": self.best_objective,
            "attempts": self.attempts,
            "last_event": self.last_event,
            "error": error.message if self._message.HasField("error") else None,
        }

    def summary(self) -> list[tuple[str, str]]:
        """What is known, a line each."""
        done, all_of_them = self.starts if self.starts[1] else self.tasks
        unit = "starts" if self.starts[1] else "tasks"
        state = self.state + (", to be cancelled" if self._is_to_be_cancelled else "")
        best = "" if math.isnan(self.best_objective) else f"{self.best_objective:.10g}"
        rows = [
            ("name", self.name),
            ("title", self.display_name),
            ("kind", self.kind),
            ("state", state),
            ("done", f"{done} of {all_of_them} {unit}" if all_of_them > 1 else ""),
            ("best", best),
            ("priority", str(self.priority) if self.priority else ""),
            ("created", _local(self.created)),
            ("started", _local(self.started)),
            ("ended", _local(self.finished)),
            ("attempts", str(self.attempts) if self.attempts > 1 else ""),
            ("error", self._message.error.message),
        ]
        return [(name, text) for name, text in rows if text]

    @property
    def _is_to_be_cancelled(self) -> bool:
        return self.cancel_requested and not self.ended

    @property
    def _title(self) -> str:
        return self.display_name or f"{self.kind or 'job'} {self.name.rpartition('/')[2][:8]}"

    def __eq__(self, other: object) -> bool:
        return self.name == other.name if isinstance(other, JobInfo) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        title = f" {self.display_name!r}" if self.display_name else ""
        return f"<costate.{type(self).__name__} {self.name}{title}: {self.kind}, {self.state}>"

    def _repr_html_(self) -> str:
        return table_html("Job", self.summary())

    # What both clients do alike. Each takes what the server says into the job.

    def _refresh(self) -> Operation[None]:
        self._message = yield from get_job(self.name, None)

    def _control(self, method: _rpc.Method) -> Operation[None]:
        response = yield Rpc(method, method.request_class(name=self.name))
        if method is not _rpc.DELETE_JOB:
            self._message = response.job


class Job(JobInfo, Generic[T]):
    """A job, and what to do with it. Made by `Client.fit`, `Client.submit` and `Client.job`.

    What it says of itself is as of the last answer; `refresh`, `wait` and the end of `progress`
    bring it up to date.
    """

    def __init__(self, client: Client, message: Any) -> None:
        super().__init__(message)
        self._client = client
        self._result: T | None = None

    def refresh(self) -> Job[T]:
        """Asks the server how it is; returns the job itself."""
        self._client._run(self._refresh())
        return self

    def cancel(self) -> Job[T]:
        """Asks for its end, within a step of its solver; returns the job itself.

        Does nothing to a job that has ended.
        """
        self._client._run(self._control(_rpc.CANCEL_JOB))
        return self

    def requeue(self) -> Job[T]:
        """Puts a failed, cancelled or dead job back into the queue; returns the job itself.

        What is done of it stays done.
        """
        self._client._run(self._control(_rpc.REQUEUE_JOB))
        self._result = None
        return self

    def delete(self) -> None:
        """Makes the server forget a job that has ended, its result included."""
        self._client._run(self._control(_rpc.DELETE_JOB))

    def progress(
        self,
        *,
        bar: bool | None = None,
        after: int = 0,
        timeout: float | None = None,
        patience: float = PATIENCE,
    ) -> Iterator[Progress]:
        """Yields what happens to it, from its beginning, until it has ended.

        Goes on by itself where the connection or the server is lost for a while: no event is
        missed and none comes twice.

        Parameters
        ----------
        bar : bool
            Show a line with the state of affairs, on standard error or in the notebook. Default:
            where that is a terminal or a notebook.
        after : int
            `Progress.sequence` of the last event that is known already. Default: none.
        timeout : float
            Seconds to wait for its end; then `StillRunning` is raised. Default: no bound.
        patience : float
            Seconds to go on trying while no server answers. Default 300.
        """
        watch = Watch(self.name, after, patience, timeout)
        shown = make_bar(bar, self._title, self.started or self.created)
        try:
            for event in self._events(watch):
                # What the caller prints must not stand beside the line.
                shown.hide()
                yield event
                shown.show(event)
        finally:
            shown.close()

    def wait(
        self,
        timeout: float | None = None,
        *,
        bar: bool | None = False,
        patience: float = PATIENCE,
    ) -> Job[T]:
        """Waits until it has ended, however that is; returns the job itself.

        Parameters
        ----------
        timeout : float
            Seconds; then `StillRunning` is raised, and the job goes on. Default: no bound.
        bar, patience
            As in `progress`. Default: no bar; None is one where there is a terminal or notebook.
        """
        # A bar starts with what has happened; without one only the end matters.
        watch = Watch(self.name, self.last_event if bar is False else 0, patience, timeout)
        shown = make_bar(bar, self._title, self.started or self.created)
        try:
            for event in self._events(watch):
                shown.show(event)
        finally:
            shown.close()
        return self

    def result(
        self,
        timeout: float | None = None,
        *,
        bar: bool | None = False,
        patience: float = PATIENCE,
    ) -> T:
        """Waits until it has ended and returns what came out.

        Parameters
        ----------
        timeout : float
            Seconds to wait for its end; then `StillRunning`, which is a `TimeoutError`, is
            raised, and the job goes on. Default: no bound.
        bar, patience
            As in `progress`. Default: no bar; None is one where there is a terminal or notebook.

        Raises
        ------
        JobFailed, JobCancelled, JobDead
            Where it ended without a result; what the server said of it is the `__cause__`.
        """
        if self._result is None:
            if not self.ended:
                self.wait(timeout, bar=bar, patience=patience)
            self._message, self._result = self._client._run(
                fetch_result(self._client._context, self._message)
            )
        return cast(T, self._result)

    def _events(self, watch: Watch) -> Iterator[Progress]:
        """Every event, over as many streams as it takes; the job is up to date at the end."""
        while True:
            trouble: CostateError | None = None
            try:
                with contextlib.closing(self._client._messages(watch.rpc())) as messages:
                    for message in messages:
                        event = watch.take(message)
                        if event is not None:
                            yield event
                self.refresh()
                if self.ended:
                    return
            except CostateError as error:
                trouble = error
            time.sleep(watch.delay(trouble))


class AsyncJob(JobInfo, Generic[T]):
    """As `costate.Job`, for asyncio."""

    def __init__(self, client: aio.Client, message: Any) -> None:
        super().__init__(message)
        self._client = client
        self._result: T | None = None

    async def refresh(self) -> AsyncJob[T]:
        """As `costate.Job.refresh`."""
        await self._client._run(self._refresh())
        return self

    async def cancel(self) -> AsyncJob[T]:
        """As `costate.Job.cancel`."""
        await self._client._run(self._control(_rpc.CANCEL_JOB))
        return self

    async def requeue(self) -> AsyncJob[T]:
        """As `costate.Job.requeue`."""
        await self._client._run(self._control(_rpc.REQUEUE_JOB))
        self._result = None
        return self

    async def delete(self) -> None:
        """As `costate.Job.delete`."""
        await self._client._run(self._control(_rpc.DELETE_JOB))

    async def progress(
        self,
        *,
        bar: bool | None = None,
        after: int = 0,
        timeout: float | None = None,
        patience: float = PATIENCE,
    ) -> AsyncIterator[Progress]:
        """As `costate.Job.progress`, for ``async for``."""
        watch = Watch(self.name, after, patience, timeout)
        shown = make_bar(bar, self._title, self.started or self.created)
        try:
            async for event in self._events(watch):
                shown.hide()
                yield event
                shown.show(event)
        finally:
            shown.close()

    async def wait(
        self,
        timeout: float | None = None,
        *,
        bar: bool | None = False,
        patience: float = PATIENCE,
    ) -> AsyncJob[T]:
        """As `costate.Job.wait`."""
        watch = Watch(self.name, self.last_event if bar is False else 0, patience, timeout)
        shown = make_bar(bar, self._title, self.started or self.created)
        try:
            async for event in self._events(watch):
                shown.show(event)
        finally:
            shown.close()
        return self

    async def result(
        self,
        timeout: float | None = None,
        *,
        bar: bool | None = False,
        patience: float = PATIENCE,
    ) -> T:
        """As `costate.Job.result`."""
        if self._result is None:
            if not self.ended:
                await self.wait(timeout, bar=bar, patience=patience)
            self._message, self._result = await self._client._run(
                fetch_result(self._client._context, self._message)
            )
        return cast(T, self._result)

    async def _events(self, watch: Watch) -> AsyncIterator[Progress]:
        while True:
            trouble: CostateError | None = None
            try:
                messages = self._client._messages(watch.rpc())
                try:
                    async for message in messages:
                        event = watch.take(message)
                        if event is not None:
                            yield event
                finally:
                    await messages.aclose()
                await self.refresh()
                if self.ended:
                    return
            except CostateError as error:
                trouble = error
            await asyncio.sleep(watch.delay(trouble))


def _moment(message: Any, field: str) -> datetime.datetime | None:
    if not message.HasField(field):
        return None
    found: datetime.datetime = getattr(message, field).ToDatetime(tzinfo=datetime.timezone.utc)
    return found


def _local(moment: datetime.datetime | None) -> str:
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
