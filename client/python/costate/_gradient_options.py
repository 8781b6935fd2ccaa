"""The keyword arguments that say how a gradient is computed, and their wire form."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, TypedDict, Union

import numpy as np

from costate import _proto
from costate._arrays import as_floats, invalid, whole
from costate._options import GRADIENT_METHODS, METHODS, TANGENT_CONTROLS, SimulationArguments

_GradientOptions = _proto.message("GradientOptions")
_LEVELS = _proto.enum_of_message("ReportOptions", "Level")


@dataclasses.dataclass(frozen=True)
class Backward:
    """How a continuous adjoint is solved from t1 back to t0.

    "backsolve" needs both tolerances: it solves the state backwards too, so those of the forward
    solve say nothing. For "interpolating", "quadrature" and "gauss" all of it is optional.

    Attributes
    ----------
    rtol, atol
        Tolerances, > 0. Default: relative that of the forward solve, absolute the smallest of it.
    method
        As the argument `method` of a solve. Default: that of the forward solve.
    seminorm
        Leave the parameter integral out of step control (Kidger, Chen and Lyons 2021).
    """

    rtol: float | None = None
    atol: float | None = None
    method: str | None = None
    seminorm: bool = False


@dataclasses.dataclass(frozen=True)
class Difference:
    """How "finite_difference" and "complex_step" take their differences.

    Attributes
    ----------
    step
        Relative to the size of what is moved, > 0. Default: from the measured noise of the loss.
    frozen_grid
        Take every solve on the steps of the plain one. "complex_step" has no other way.
    """

    step: float | None = None
    frozen_grid: bool = False


@dataclasses.dataclass(frozen=True)
class Report:
    """Checks behind a gradient report, beyond those that are always made.

    Attributes
    ----------
    tolerance_refinement
        The gradient again at a tenth of the tolerance: the best measure of its error.
    second_method
        Against a method of another family.
    directional_difference
        Against a central difference along a random direction, each solve with its own steps.
    growth
        The largest singular value of the flow map: whether small errors become large.
    linear_range
        How far the parameters may move before the gradient is wrong.
    every
        Of a batch, report on every k-th trajectory from the first on. Those are solved by
        themselves, the others together in SIMD lanes, with the same bits. Default 16; 1 reports on
        all.
    """

    tolerance_refinement: bool = False
    second_method: bool = False
    directional_difference: bool = False
    growth: bool = False
    linear_range: bool = False
    every: int | None = None

    @classmethod
    def all(cls, every: int | None = None) -> Report:
        """Every check there is; its cost is in the report."""
        return cls(every=every, **dict.fromkeys(_CHECKS, True))


_CHECKS = tuple(field.name for field in dataclasses.fields(Report) if field.name != "every")
ReportArgument = Union[bool, Report]


class MethodArguments(TypedDict, total=False):
    """How derivatives in reverse or forward are computed; `METHOD_DOC` explains them."""

    gradient_method: str | None
    tangent_control: str | None
    memory_budget: float | None
    checkpoints: int | None
    segments: int | None
    checkpoint_every: int | None
    backward: Backward | None
    difference: Difference | None


class GradientArguments(MethodArguments, SimulationArguments, total=False):
    """Of the calls that leave the method to choose."""


METHOD_DOC = """\
gradient_method : str
    "auto" (default), "forward", "backprop", "checkpointed", "segmented", "backsolve",
    "interpolating", "quadrature", "gauss", "reversible" (see `coupling`); for checks
    "finite_difference", "complex_step".
    The answer says which was taken and why. `client.server_info().gradient_methods` describes
    them. (`method` says how steps are taken.)
tangent_control : str
    "forward" only. "full" (default): the error of every tangent is controlled too.
    "primal_only": the very steps of the plain solve.
memory_budget : float
    Bytes of trajectory that a method in reverse may hold at once, as in 64e6. It is kept: what
    does not fit is refused. Default: the server's limit.
checkpoints : int
    "checkpointed" only: states held at once. Default: what the budget holds.
segments : int
    "segmented" only: number of equally spaced checkpoints. Default 10.
checkpoint_every : int
    "interpolating", "quadrature", "gauss": keep the state of every k-th step and recompute the
    others. Default: as few as the budget asks for. "reversible": keep every k-th and take steps
    back to the others. Default: as few as bound what rounding does to them.
backward : costate.Backward
    Tolerances and method of the solve backwards: required for "backsolve", allowed for
    "interpolating", "quadrature" and "gauss".
difference : costate.Difference
    "finite_difference" and "complex_step" only.
"""

_WHOLE_NUMBERS = ("checkpoints", "segments", "checkpoint_every")


def method_to_proto(arguments: Any) -> Any:
    """Builds GradientOptions from the keyword arguments of `MethodArguments`."""
    options = _GradientOptions(
        method=GRADIENT_METHODS.number(
            arguments.get("gradient_method") or "auto", "gradient_method"
        )
    )
    control = arguments.get("tangent_control")
    if control is not None:
        options.tangent_control = TANGENT_CONTROLS.number(control, "tangent_control")
    budget = arguments.get("memory_budget")
    if budget is not None:
        options.memory_budget_bytes = whole(budget, "memory_budget", "bytes")
    for name in _WHOLE_NUMBERS:
        value = arguments.get(name)
        if value is not None:
            setattr(options, name, whole(value, name))
    _fill_backward(options, arguments.get("backward"))
    _fill_difference(options, arguments.get("difference"))
    return options


def _positive(value: float, field: str) -> float:
    number = as_floats(value, field)
    if number.ndim or not 0 < number < math.inf:
        raise invalid(field, f"{value!r} is no positive, finite number")
    return float(number)


def _fill_backward(options: Any, backward: Backward | None) -> None:
    if backward is None:
        return
    if not isinstance(backward, Backward):
        raise TypeError(f"backward: expected a costate.Backward, not {type(backward).__name__}")
    options.backward.SetInParent()
    if backward.method is not None:
        options.backward.method = METHODS.number(backward.method, "backward.method")
    if backward.rtol is not None:
        options.backward.rtol = _positive(backward.rtol, "backward.rtol")
    if backward.atol is not None:
        options.backward.atol = _positive(backward.atol, "backward.atol")
    options.backward.seminorm = bool(backward.seminorm)


def _fill_difference(options: Any, difference: Difference | None) -> None:
    if difference is None:
        return
    if not isinstance(difference, Difference):
        raise TypeError(
            f"difference: expected a costate.Difference, not {type(difference).__name__}"
        )
    options.difference.frozen_grid = bool(difference.frozen_grid)
    if difference.step is not None:
        options.difference.step = _positive(difference.step, "difference.step")


def fill_report(options: Any, report: ReportArgument) -> None:
    """Writes which report is wanted into GradientOptions."""
    if isinstance(report, Report):
        for name in _CHECKS:
            setattr(options.report, name, bool(getattr(report, name)))
        if report.every is not None:
            options.report.every = whole(report.every, "report.every")
        report = True
    if not isinstance(report, (bool, np.bool_)):
        raise TypeError(f"report: expected a bool or a costate.Report, not {report!r}")
    options.report.level = _LEVELS["LEVEL_BASIC" if report else "LEVEL_OFF"]


def gradient_options_from_proto(options: Any) -> dict[str, Any]:
    """What was in force, under the names of the keyword arguments."""
    found: dict[str, Any] = {"gradient_method": GRADIENT_METHODS.name(options.method)}
    if options.tangent_control:
        found["tangent_control"] = TANGENT_CONTROLS.name(options.tangent_control)
    if options.memory_budget_bytes:
        found["memory_budget"] = options.memory_budget_bytes
    for name in _WHOLE_NUMBERS:
        if getattr(options, name):
            found[name] = getattr(options, name)
    if options.HasField("backward"):
        backward = options.backward
        found["backward"] = Backward(
            rtol=backward.rtol if backward.HasField("rtol") else None,
            atol=backward.atol if backward.HasField("atol") else None,
            method=METHODS.name(backward.method) if backward.method else None,
            seminorm=backward.seminorm,
        )
    if options.HasField("difference"):
        difference = options.difference
        step = difference.step if difference.HasField("step") else None
        found["difference"] = Difference(step=step, frozen_grid=difference.frozen_grid)
    return found
