"""Fits and profiles as jobs, as generators that yield calls."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from costate import _proto, _rpc
from costate._arrays import invalid, to_proto, whole
from costate._bind import with_fit_arguments
from costate._fit_options import (
    FitArguments,
    check_methods,
    fit_options_to_proto,
)
from costate._fit_problem import (
    ConditionLike,
    Conditions,
    Data,
    Parameters,
    free_to_proto,
    last_time_of,
)
from costate._fit_result import FitResult
from costate._job_spec import Deadline, Retention, create, job_options
from costate._model import ModelLike
from costate._names import unknown_name
from costate._operations import Context, describe, simulation_of
from costate._options import SimulationArguments, check_arguments
from costate._profile import ProfileResult
from costate._rpc import Operation, Rpc

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from costate._job_spec import Queued

_FitRequest = _proto.message("FitRequest")
_ProfileRequest = _proto.message("ProfileRequest")


@with_fit_arguments
def fit(
    context: Context,
    model: ModelLike,
    *,
    data: Sequence[Data] | Data,
    parameters: Parameters,
    conditions: Mapping[str, ConditionLike] | None = None,
    method: str | None = None,
    starts: int = 1,
    seed: int = 0,
    solver: str | None = None,
    name: str | None = None,
    idempotency_key: str | None = None,
    priority: int = 0,
    deadline: Deadline = None,
    retention: Retention = None,
    **arguments: Unpack[FitArguments],
) -> Operation[Queued[FitResult]]:
    """Queues the estimation of parameters from data, and returns at once.

    The server keeps the job whatever happens to this process, and goes on with it after a restart
    of its own. What is wrong with the problem is said here, before anything is queued.

    Parameters
    ----------
    model : costate.Model, ModelInfo or str
        What to fit; a string is the text of a model or the name of a registered one.
    data : list of costate.Data
        What was measured, at least one.
    parameters : mapping from name to costate.Free
        Parameters, states (meaning their initial values) or elements such as "W[0,2]" to
        estimate. A number stands for where to begin; a list of names for what the model declares.
    conditions : mapping from name to costate.Condition
        Experiments that data refer to by name. A mapping from names to values will do. Default:
        those that the data describe themselves.
    method : str
        How to search: "levenberg_marquardt" (what "auto" takes up to 200 parameters), "lbfgsb"
        (beyond), "adam", "adamw", "nlopt".
    starts : int
        Points to search from: the given one, and others drawn between the bounds. Default 1.
    seed : int
        Of what is drawn. Default 0.
    <search>
    <method>
    <simulation>
    name : str
        Free text for lists of jobs.
    idempotency_key : str
        A repeated call with the same key is the same job, also from another process; with another
        request it is refused. At most 128 characters. Default: every call is a new job.
    priority : int
        -100 to 100, higher first. Default 0.
    deadline : datetime, timedelta or float
        A moment, or a time from now (a number is of seconds), by which the job is done or fails.
        Default: none.
    retention : timedelta or float
        How long the result is kept after the end; a number is of seconds. Default: the server's
        policy.

    Returns
    -------
    Job of a FitResult

    Examples
    --------
    >>> job = client.fit(
    ...     model,
    ...     data=[costate.Data(output="in_bed", t=days, values=counts)],
    ...     parameters={"b": costate.Free(1.0, (0.01, 10), scale="log10"), "k": costate.Free(0.3)},
    ...     starts=64,
    ... )
    >>> for p in job.progress():
    ...     print(p)
    >>> print(job.result())
    """
    check_arguments("fit", arguments, FitArguments.__annotations__, _names_of_fit())
    check_methods(method, solver)
    series = [data] if isinstance(data, Data) else list(data)
    _check_data(series)
    options = fit_options_to_proto(method, starts, seed, arguments)
    info = None
    if Conditions.needs_info(conditions, series):
        info = yield from describe(context, model)
    known = Conditions(conditions, series, info)
    simulation = cast(SimulationArguments, {**arguments, "method": solver})
    problem = yield from simulation_of(context, model, simulation, last_time_of(series, known))
    request = _FitRequest(
        simulation=problem,
        conditions=known.messages,
        data=[
            message
            for index, one in enumerate(series)
            for message in one._messages(known.find(one.condition, f"data[{index}].condition"))
        ],
        free=free_to_proto(parameters, known),
        options=options,
    )
    spec = job_options(
        name=name,
        idempotency_key=idempotency_key,
        priority=priority,
        deadline=deadline,
        retention=retention,
    )
    return (yield from create(spec, "fit", request, arguments.get("timeout")))


def _names_of_fit() -> list[str]:
    return list(inspect.signature(fit).parameters)[2:]


def _check_data(series: Sequence[Any]) -> None:
    if not series:
        raise invalid("data", "give at least one costate.Data")
    for index, one in enumerate(series):
        if not isinstance(one, Data):
            raise TypeError(f"data[{index}]: expected a costate.Data, not {type(one).__name__}")


def _with_data(request: Any) -> Any:
    """The request of a fit, if the server could send it."""
    if not request.data:
        raise invalid("fit", "is too large to be sent back beside its result")
    return request


class HasName(Protocol):
    """A job."""

    @property
    def name(self) -> str: ...


def profile(
    context: Context,
    fit: FitResult | HasName | str,
    names: Sequence[str] | str | None = None,
    *,
    confidence: float | None = None,
    max_points: int | None = None,
    name: str | None = None,
    idempotency_key: str | None = None,
    priority: int = 0,
    deadline: Deadline = None,
    retention: Retention = None,
    timeout: float | None = None,
) -> Operation[Queued[ProfileResult]]:
    """Queues profile likelihoods: for each parameter, how well its other values can fit.

    The honest intervals where a fit is far from quadratic, and the proof that a parameter has
    none.

    Parameters
    ----------
    fit : FitResult, Job or str
        What was fitted: the result, the job or its name.
    names : list of str
        Of `FitResult.names`. Default: all.
    confidence : float
        Of the intervals, in (0, 1). Default 0.95.
    max_points : int
        To each side of the best one, at least 1. Default 50.
    name, idempotency_key, priority, deadline, retention
        As in `Client.fit`.
    timeout : float
        Deadline of the call in seconds. Default: the client's.

    Returns
    -------
    Job of a ProfileResult

    Examples
    --------
    >>> client.profile(job, ["b", "k"]).result().plot()
    """
    request = _ProfileRequest()
    if isinstance(fit, FitResult):
        request.fit.CopyFrom(_with_data(fit._request))
        known = list(fit.names)
        request.best.CopyFrom(to_proto(np.array([e.value for e in fit.estimates])))
    else:
        job = fit if isinstance(fit, str) else fit.name
        response = yield Rpc(_rpc.GET_JOB, _rpc.GET_JOB.request_class(name=job), timeout)
        result = response.job.result
        if result.WhichOneof("result") != "fit":
            kind = response.job.kind or "job"
            raise invalid("fit", f"{job} is a {kind} without a fit's result; wait for it first")
        request.fit.CopyFrom(_with_data(response.job.spec.fit))
        known = list(result.fit.names)
        request.best.CopyFrom(
            to_proto(np.array([estimate.value for estimate in result.fit.estimates]))
        )
    for wanted in [names] if isinstance(names, str) else names or ():
        if wanted not in known:
            raise invalid("names", unknown_name(wanted, known))
        request.names.append(wanted)
    if confidence is not None:
        if not 0 < confidence < 1:
            raise invalid("confidence", f"{confidence!r} is not between 0 and 1")
        request.confidence = confidence
    if max_points is not None:
        request.max_points = whole(max_points, "max_points")
    spec = job_options(
        name=name,
        idempotency_key=idempotency_key,
        priority=priority,
        deadline=deadline,
        retention=retention,
    )
    return (yield from create(spec, "profile", request, timeout))
