"""The keyword arguments that say how a fit is searched, and their wire form."""

from __future__ import annotations

import dataclasses
from typing import Any, TypedDict

from costate import _proto
from costate._arrays import invalid, whole
from costate._gradient_options import (
    MethodArguments,
    gradient_options_from_proto,
    method_to_proto,
)
from costate._options import METHODS, EnumNames, StepArguments

_FitOptions = _proto.message("FitOptions")
_KINDS = _proto.enum_of_message("LearningRateSchedule", "Kind")

FIT_METHODS = EnumNames("FitMethod", "FIT_METHOD_", auto="auto")
SAMPLERS = EnumNames("StartSampler", "START_SAMPLER_")
OUTCOMES = EnumNames("FitOutcome", "FIT_OUTCOME_")


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The learning rate of "adam" and "adamw" over the iterations.

    Attributes
    ----------
    kind
        "constant", "exponential" (falls by `decay` over all iterations) or "cosine" (the same
        along half a cosine).
    decay
        Share of the rate that is left at the end, in (0, 1]. Default 0.01.
    warmup
        Iterations of a linear rise at the beginning. Default 0.
    """

    kind: str = "constant"
    decay: float | None = None
    warmup: int = 0


class SearchArguments(TypedDict, total=False):
    """How the best parameters are searched; `SEARCH_DOC` explains them."""

    max_iterations: int | None
    function_tolerance: float | None
    gradient_tolerance: float | None
    step_tolerance: float | None
    sampler: str | None
    learning_rate: float | None
    schedule: str | Schedule | None
    weight_decay: float | None
    beta1: float | None
    beta2: float | None
    epsilon: float | None
    batch_size: int | None
    clip_norm: float | None
    nlopt_algorithm: str | None


class FitArguments(SearchArguments, MethodArguments, StepArguments, total=False):
    """Of a fit: how it is searched, differentiated and solved."""


SEARCH_DOC = """\
max_iterations : int
    Default 200; 1,000 for "adam" and "adamw"; 10,000 evaluations for "nlopt".
function_tolerance, gradient_tolerance, step_tolerance : float
    A start is done below this relative decrease of the objective, component of the gradient in
    scaled coordinates x times ``max(1, |x|)``, relative step. Default 1e-9, 1e-8, 1e-9.
sampler : str
    How start points are drawn between the bounds: "latin_hypercube" (default) or "sobol".
learning_rate : float
    Of "adam" and "adamw". Default 0.01.
schedule : str or costate.Schedule
    How that changes: "constant" (default), "exponential", "cosine".
weight_decay : float
    Of "adamw". Default 0.01.
beta1, beta2, epsilon : float
    Of "adam" and "adamw". Default 0.9, 0.999, 1e-8.
batch_size : int
    Conditions per step of "adam" and "adamw". Default: all.
clip_norm : float
    Largest gradient norm of "adam" and "adamw". Default: not clipped.
nlopt_algorithm : str
    Required for "nlopt", as NLopt calls it: "LN_BOBYQA", "LN_SBPLX", "GN_DIRECT_L", ...
solver : str
    How steps are taken: what `Client.solve` calls `method`. Default "auto".
"""

_NUMBERS = (
    "function_tolerance",
    "gradient_tolerance",
    "step_tolerance",
    "learning_rate",
    "weight_decay",
    "beta1",
    "beta2",
    "epsilon",
    "clip_norm",
)


def check_methods(method: str | None, solver: str | None) -> None:
    """Tells apart how to search and how to take steps, where one was given as the other."""
    if method and method not in FIT_METHODS and method in METHODS:
        raise invalid(
            "method",
            f"{method!r} is a way to take steps: solver={method!r}; `method` says how to search",
        )
    if solver and solver not in METHODS and solver in FIT_METHODS:
        raise invalid(
            "solver",
            f"{solver!r} is a way to search: method={solver!r}; `solver` says how steps are taken",
        )


def fit_options_to_proto(method: str | None, starts: int, seed: int, arguments: Any) -> Any:
    """Builds FitOptions from the keyword arguments of `FitArguments`."""
    options = _FitOptions(
        method=FIT_METHODS.number(method or "auto", "method"),
        starts=whole(starts, "starts"),
        seed=whole(seed, "seed", least=0),
        sampler=SAMPLERS.number(arguments.get("sampler") or "latin_hypercube", "sampler"),
        nlopt_algorithm=arguments.get("nlopt_algorithm") or "",
    )
    gradient = method_to_proto(arguments)
    if gradient.ByteSize():
        options.gradient.CopyFrom(gradient)
    for name in ("max_iterations", "batch_size"):
        if arguments.get(name) is not None:
            setattr(options, name, whole(arguments[name], name))
    for name in _NUMBERS:
        if arguments.get(name) is not None:
            setattr(options, name, float(arguments[name]))
    _fill_schedule(options, arguments.get("schedule"))
    return options


def _fill_schedule(options: Any, schedule: str | Schedule | None) -> None:
    if schedule is None:
        return
    if not isinstance(schedule, Schedule):
        schedule = Schedule(schedule)
    number = _KINDS.get(f"KIND_{str(schedule.kind).upper()}")
    if not number:
        raise invalid(
            "schedule", f'{schedule.kind!r} is none of "constant", "exponential", "cosine"'
        )
    options.schedule.kind = number
    if schedule.decay is not None:
        options.schedule.decay = float(schedule.decay)
    options.schedule.warmup = whole(schedule.warmup, "schedule.warmup", least=0)


def fit_options_from_proto(options: Any) -> dict[str, Any]:
    """What was in force, under the names of the keyword arguments."""
    found: dict[str, Any] = {
        "method": FIT_METHODS.name(options.method),
        "starts": options.starts,
        "seed": options.seed,
        "max_iterations": options.max_iterations,
        "sampler": SAMPLERS.name(options.sampler) if options.sampler else "latin_hypercube",
    }
    for name in _NUMBERS:
        if options.HasField(name):
            found[name] = getattr(options, name)
    for name in ("batch_size", "nlopt_algorithm"):
        if getattr(options, name):
            found[name] = getattr(options, name)
    if options.HasField("schedule"):
        schedule = options.schedule
        kinds = {number: key[len("KIND_") :].lower() for key, number in _KINDS.items() if number}
        found["schedule"] = Schedule(
            kinds.get(schedule.kind, "constant"),
            schedule.decay if schedule.HasField("decay") else None,
            schedule.warmup,
        )
    if options.HasField("gradient"):
        found.update(gradient_options_from_proto(options.gradient))
    return found
