"""Finding jobs, and making a job of any call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from costate import _gradients, _operations, _proto, _rpc, _stability
from costate._arrays import invalid, whole
from costate._bind import dress
from costate._job import AsyncJob, Job
from costate._job_results import KINDS, get_job
from costate._job_spec import Deadline, JobOptions, Queued, Retention, create, job_options
from costate._names import unknown_name
from costate._operations import Context
from costate._rpc import Operation, Rpc
from costate.errors import CostateError

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    P = ParamSpec("P")

S = TypeVar("S", bound="_Submit")
T = TypeVar("T")

_STATES = {
    name[len("STATE_") :].lower(): number
    for name, number in _proto.enum_of_message("Job", "State").items()
    if number
}
_SPEC_KINDS = tuple(
    field.name for field in _proto.message("JobSpec").DESCRIPTOR.oneofs_by_name["request"].fields
)
_PAGE = 1000


def job(context: Context, name: str, *, timeout: float | None = None) -> Operation[Queued[Any]]:
    """Finds a job again, from any process and machine; raises `NotFound` if there is none.

    Parameters
    ----------
    name : str
        `Job.name`; "jobs/" may be left out.
    timeout : float
        Deadline in seconds. Default: the client's.

    Returns
    -------
    Job
    """
    if not isinstance(name, str) or not name:
        raise invalid("name", "expected the name of a job, as 'jobs/...'")
    full = name if name.startswith("jobs/") else f"jobs/{name}"
    return Queued((yield from get_job(full, timeout)))


def jobs(
    context: Context,
    *,
    state: Iterable[str] | str | None = None,
    kind: Iterable[str] | str | None = None,
    name: str | None = None,
    limit: int | None = 100,
    timeout: float | None = None,
) -> Operation[list[Queued[Any]]]:
    """Lists jobs, the newest first.

    Parameters
    ----------
    state : str or list of str
        Only these: "queued", "running", "succeeded", "failed", "cancelled", "dead".
    kind : str or list of str
        Only these: "fit", "profile", "solve", "gradient", ...
    name : str
        Only those whose free text contains this.
    limit : int
        At most so many; None for all. Default 100.
    timeout : float
        Deadline of each page in seconds. Default: the client's.

    Returns
    -------
    list of Job
    """
    states = [_known(_STATES, one, "state") for one in _listed(state)]
    kinds = [_known(dict.fromkeys(_SPEC_KINDS), one, "kind") for one in _listed(kind)]
    wanted = None if limit is None else whole(limit, "limit")
    found: list[Queued[Any]] = []
    token = ""
    while True:
        rest = _PAGE if wanted is None else min(_PAGE, wanted - len(found))
        request = _rpc.LIST_JOBS.request_class(
            page_size=rest,
            page_token=token,
            states=[_STATES[one] for one in states],
            kinds=kinds,
            display_name_contains=name or "",
        )
        response = yield Rpc(_rpc.LIST_JOBS, request, timeout)
        found += [Queued(message) for message in response.jobs]
        token = response.next_page_token
        if not token or (wanted is not None and len(found) >= wanted):
            return found


def _listed(given: Iterable[str] | str | None) -> list[str]:
    return [given] if isinstance(given, str) else list(given or ())


def _known(known: Iterable[str], name: str, field: str) -> str:
    lower = str(name).lower()
    if lower not in known:
        raise invalid(field, unknown_name(name, known))
    return lower


# Any call as a job


def queue(call: Operation[Any], options: JobOptions, method: _rpc.Method) -> Operation[Queued[Any]]:
    """Runs a call until it would ask its question, and queues that instead."""
    rpc = next(call)
    while rpc.method not in (method, _rpc.STREAM_STABILITY_REGION):
        # It wants to know something first: what the model declares.
        try:
            response = yield rpc
        except CostateError as error:
            rpc = call.throw(error)
        else:
            rpc = call.send(response)
    call.close()
    # A large raster would come as a stream; as a job it is asked for in one piece.
    request = rpc.request if rpc.method is method else rpc.request.region
    return (yield from create(options, KINDS[method], request, rpc.timeout))


_DOCUMENT = """\
Queues `{name}` as a job, and returns at once. `Job.result` is what `Client.{name}` returns;
`timeout` is the deadline of the call that queues it.

"""


def _submitting(
    operation: Callable[Concatenate[Context, P], Operation[T]], method: _rpc.Method
) -> Callable[Concatenate[Any, P], Job[T]]:
    def submit(self: Submit, /, *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        call = operation(self._client._context, *args, **kwargs)
        queued = self._client._run(queue(call, self._options, method))
        return Job(self._client, queued.message)

    dress(submit, operation, "Submit", "Job[{}]", _DOCUMENT.format(name=operation.__name__))
    return submit


def _submitting_async(
    operation: Callable[Concatenate[Context, P], Operation[T]], method: _rpc.Method
) -> Callable[Concatenate[Any, P], Awaitable[AsyncJob[T]]]:
    async def submit(self: AsyncSubmit, /, *args: P.args, **kwargs: P.kwargs) -> AsyncJob[T]:
        call = operation(self._client._context, *args, **kwargs)
        queued = await self._client._run(queue(call, self._options, method))
        return AsyncJob(self._client, queued.message)

    dress(submit, operation, "Submit", "AsyncJob[{}]", _DOCUMENT.format(name=operation.__name__))
    return submit


class _Submit:
    """How calls become jobs."""

    def __init__(self, client: Any, options: JobOptions | None = None) -> None:
        self._client = client
        self._options = options or job_options()

    def __call__(
        self: S,
        *,
        name: str | None = None,
        idempotency_key: str | None = None,
        priority: int = 0,
        deadline: Deadline = None,
        retention: Retention = None,
    ) -> S:
        """The same with these properties of the jobs, which are those of `Client.fit`."""
        return type(self)(
            self._client,
            job_options(
                name=name,
                idempotency_key=idempotency_key,
                priority=priority,
                deadline=deadline,
                retention=retention,
            ),
        )


class Submit(_Submit):
    """Makes jobs of calls: ``client.submit.solve(...)`` takes what ``client.solve(...)`` takes.

    Call it to say more of the job: ``client.submit(name="overnight", priority=-10).solve(...)``.

    Examples
    --------
    >>> job = client.submit.solve(model, t=(0, 1e6), params={"k": np.linspace(0, 1, 10_000)})
    >>> sol = job.result()
    """

    solve = _submitting(_operations.solve, _rpc.SOLVE)
    gradient = _submitting(_gradients.gradient, _rpc.COMPUTE_GRADIENT)
    vjp = _submitting(_gradients.vjp, _rpc.COMPUTE_VJP)
    jvp = _submitting(_gradients.jvp, _rpc.COMPUTE_JVP)
    sensitivities = _submitting(_gradients.sensitivities, _rpc.COMPUTE_SENSITIVITIES)
    hvp = _submitting(_gradients.hvp, _rpc.COMPUTE_HVP)
    check_gradient = _submitting(_gradients.check_gradient, _rpc.CHECK_GRADIENT)
    stability = _submitting(_stability.stability, _rpc.ANALYZE_STABILITY)
    stability_region = _submitting(_stability.stability_region, _rpc.COMPUTE_STABILITY_REGION)


class AsyncSubmit(_Submit):
    """As `costate.Submit`, for asyncio: ``await client.submit.solve(...)``."""

    solve = _submitting_async(_operations.solve, _rpc.SOLVE)
    gradient = _submitting_async(_gradients.gradient, _rpc.COMPUTE_GRADIENT)
    vjp = _submitting_async(_gradients.vjp, _rpc.COMPUTE_VJP)
    jvp = _submitting_async(_gradients.jvp, _rpc.COMPUTE_JVP)
    sensitivities = _submitting_async(_gradients.sensitivities, _rpc.COMPUTE_SENSITIVITIES)
    hvp = _submitting_async(_gradients.hvp, _rpc.COMPUTE_HVP)
    check_gradient = _submitting_async(_gradients.check_gradient, _rpc.CHECK_GRADIENT)
    stability = _submitting_async(_stability.stability, _rpc.ANALYZE_STABILITY)
    stability_region = _submitting_async(_stability.stability_region, _rpc.COMPUTE_STABILITY_REGION)
