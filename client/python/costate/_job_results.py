"""Results of jobs: the same objects that the calls return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from costate import _rpc
from costate._arrays import from_proto
from costate._derivatives import Gradient, Jvp, Sensitivities, Vjp
from costate._fit_result import FitResult
from costate._hessian import GradientCheck, Hvp
from costate._model import Model, ModelInfo, ModelLike
from costate._operations import Context, describe
from costate._profile import ProfileResult
from costate._rpc import Method, Operation, Rpc
from costate._solution import solution_from_proto
from costate._stability import region_from_proto, stability_from_proto
from costate.errors import (
    CostateError,
    InvalidRequest,
    JobCancelled,
    JobDead,
    JobFailed,
    NotFound,
    ServerError,
    StillRunning,
    from_status,
)

# The field of JobSpec that carries the request of each call.
KINDS: dict[Method, str] = {
    _rpc.SOLVE: "solve",
    _rpc.COMPUTE_GRADIENT: "gradient",
    _rpc.COMPUTE_SENSITIVITIES: "sensitivities",
    _rpc.COMPUTE_VJP: "vjp",
    _rpc.COMPUTE_JVP: "jvp",
    _rpc.COMPUTE_HVP: "hvp",
    _rpc.CHECK_GRADIENT: "check_gradient",
    _rpc.COMPUTE_STABILITY_REGION: "stability_region",
    _rpc.ANALYZE_STABILITY: "stability",
}

# What needs only the answer.
_PLAIN: dict[str, Callable[[Any], Any]] = {
    "solve": solution_from_proto,
    "gradient": Gradient,
    "sensitivities": Sensitivities,
    "vjp": Vjp,
    "jvp": Jvp,
    "hvp": Hvp,
    "check_gradient": GradientCheck,
}


def get_job(name: str, timeout: float | None) -> Operation[Any]:
    """The Job message, with spec and result."""
    response = yield Rpc(_rpc.GET_JOB, _rpc.GET_JOB.request_class(name=name), timeout)
    return response.job


def fetch_result(
    context: Context, known: Any, timeout: float | None = None
) -> Operation[tuple[Any, Any]]:
    """The Job message without its bulk, and the result of a job that has ended.

    Raises what became of it where there is none. `known` is what the server last said of it, and
    is not asked for again where it has the result.
    """
    job = type(known)()
    job.CopyFrom(known if known.HasField("result") else (yield from get_job(known.name, timeout)))
    error = error_of(job)
    if error is not None:
        # With the server's own error as its cause.
        raise error from error.__cause__
    result = yield from _convert(context, job, timeout)
    brief = type(known)()
    brief.CopyFrom(job)
    brief.ClearField("spec")
    brief.ClearField("result")
    return brief, result


def error_of(job: Any) -> CostateError | None:
    """The exception for a job without a result; None if it has one."""
    states = type(job)
    label = job.name + (f" ({job.display_name})" if job.display_name else "")
    if job.state == states.STATE_SUCCEEDED:
        return None
    if job.state == states.STATE_CANCELLED:
        return JobCancelled(f"{label} was cancelled", job=job.name)
    if job.state not in (states.STATE_FAILED, states.STATE_DEAD):
        return StillRunning(f"{label} has not ended yet", job=job.name)
    dead = job.state == states.STATE_DEAD
    what = f"was given up after {job.attempts} attempts" if dead else "failed"
    cause = from_status(job.error)
    facts: dict[str, Any] = {"code": cause.code, "metadata": cause.metadata, "job": job.name}
    error = (JobDead if dead else JobFailed)(f"{label} {what}: {cause}", **facts)
    error.__cause__ = cause
    return error


def _convert(context: Context, job: Any, timeout: float | None) -> Operation[Any]:
    kind = job.result.WhichOneof("result")
    if kind is None:
        raise ServerError(f"{job.name} has succeeded, but the server sent no result")
    message = getattr(job.result, kind)
    if kind in _PLAIN:
        return _PLAIN[kind](message)
    if kind == "fit":
        # Very large requests do not come back with their result.
        known = job.HasField("spec")
        source = job.spec.fit.simulation.model
        info = (yield from _describe(context, source, timeout)) if known else None
        return FitResult(message, job.spec.fit, info, job.name)
    if kind == "profile":
        return ProfileResult(message, job.spec.profile)
    if kind == "stability":
        return (yield from stability_from_proto(message, timeout))
    if kind == "stability_region":
        request = job.spec.stability_region
        radius = from_proto(message.spectral_radius) if request.want_raster else None
        return region_from_proto(message, radius, request.order_star)
    raise ServerError(f"{job.name} has a result that this client does not know: {kind}")


def _describe(context: Context, source: Any, timeout: float | None) -> Operation[ModelInfo | None]:
    """For the names of states and outputs; None where the model is gone."""
    model: ModelLike
    kind = source.WhichOneof("source")
    if kind == "graph":
        model = Model.from_graph(source.graph.SerializeToString())
    elif kind == "name":
        model = source.name
    else:
        model = Model(source.text)
    try:
        return (yield from describe(context, model, timeout=timeout))
    except (NotFound, InvalidRequest):
        return None
