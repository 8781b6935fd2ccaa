"""The keyword arguments that every call which integrates shares, and their wire form."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict, Union

import numpy as np
import numpy.typing as npt

from costate import _proto
from costate._arrays import (
    FloatArray,
    as_floats,
    as_vector,
    from_proto,
    invalid,
    named_arrays,
    to_proto,
    whole,
)
from costate._names import unknown_name

if TYPE_CHECKING:
    from costate._arrays import Layout

_Simulation = _proto.message("Simulation")
_SolveOptions = _proto.message("SolveOptions")


class EnumNames:
    """The values of a wire enum under short lower-case names: METHOD_TSIT5 is "tsit5"."""

    def __init__(self, name: str, prefix: str, auto: str | None = None) -> None:
        values = {key[len(prefix) :].lower(): number for key, number in _proto.enum(name).items()}
        unspecified = values.pop("unspecified")
        self._numbers = {auto: unspecified, **values} if auto else values
        self._names = {number: key for key, number in self._numbers.items()}

    def number(self, name: str, field: str) -> int:
        number = self._numbers.get(str(name).lower().replace("-", "_"))
        if number is None:
            raise invalid(field, unknown_name(name, self._numbers))
        return number

    def __contains__(self, name: object) -> bool:
        return name in self._numbers

    def name(self, number: int) -> str:
        """The name, or the number as text when this client is older than the server."""
        return self._names.get(number, str(number))


METHODS = EnumNames("Method", "METHOD_", auto="auto")
CONTROLLERS = EnumNames("Controller", "CONTROLLER_")
GRADIENT_METHODS = EnumNames("GradientMethod", "GRADIENT_METHOD_", auto="auto")
TANGENT_CONTROLS = EnumNames("TangentControl", "TANGENT_CONTROL_")


@dataclasses.dataclass(frozen=True)
class Controller:
    """The filter that proposes adaptive steps, with its constants.

    h_new = h * safety * e_n^-beta1 * e_{n-1}^beta2 * e_{n-2}^-beta3, where e are the scaled
    errors of the last steps. What is None is the customary value for kind and order; the result
    echoes it in `options`.

    Attributes
    ----------
    kind
        "i", "pi" or "pid".
    beta1, beta2, beta3
        Exponents.
    safety
        In (0, 1]. Default 0.9.
    min_factor, max_factor
        Smallest (default 0.2) and largest (default 10) ratio of successive steps.
    """

    kind: str = "pi"
    beta1: float | None = None
    beta2: float | None = None
    beta3: float | None = None
    safety: float | None = None
    min_factor: float | None = None
    max_factor: float | None = None


class StepArguments(TypedDict, total=False):
    """Keyword arguments of every call that integrates; `SIMULATION_DOC` explains them."""

    t: tuple[npt.ArrayLike, npt.ArrayLike] | npt.ArrayLike | None
    params: Mapping[str, npt.ArrayLike] | None
    y0: Mapping[str, npt.ArrayLike] | None
    rtol: float | None
    atol: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None
    controller: str | Controller | None
    initial_step: float | None
    min_step: float | None
    max_step: float | None
    coupling: float | None
    eta: float | None
    dt: float | None
    grid: npt.ArrayLike | None
    max_steps: int | None
    wall_budget: float | None
    lanes: int | None
    timeout: float | None


class SimulationArguments(StepArguments, total=False):
    """And those that a fit has no use for, or under another name."""

    method: str | None
    return_grid: bool | None


SIMULATION_DOC = """\
t : (t0, t1)
    Span, in the model's unit of time; t1 < t0 integrates backwards. Either may be an array
    of shape [B], a batch axis. A single number is t1. Default: from 0 to the last time that
    `save_at`, the loss or the data name, and (0, 1) where there is none.
params : mapping from name to array
    Parameter values; the others keep the model's defaults. Shape of the tensor, or one
    leading batch axis: [B] + shape. All batch axes of a call must agree.
y0 : mapping from name to array
    Initial states; the others follow the model. May be batched like `params`.
method : str
    "auto" (default), "euler", "midpoint", "heun", "ralston2", "ralston3", "bosh3", "rk4",
    "tsit5", "dopri5", "dopri8", "ees25", "ees27", and the reversible "alf", "reversible_heun"
    and "leapfrog_midpoint". `client.server_info().methods` describes them.
coupling : float
    Makes a Runge-Kutta method reversible (McCallum and Foster 2024), with this coupling in
    (0, 1]; 0.999 is customary. For gradients in constant memory: gradient_method="reversible".
eta : float
    Damping of "alf" in (0, 1], other than 0.5. Default 1, none.
rtol : float
    Relative tolerance of a step, >= 0. Default 1e-6.
atol : float, array [n] or mapping from state name to array
    Absolute tolerance in the unit of the states, >= 0. Default 1e-9, also for states that a
    mapping leaves out.
controller : str or costate.Controller
    "pi" (default), "i", "pid", or a `costate.Controller` with its constants.
initial_step, min_step, max_step : float
    Bounds on adaptive steps, in units of time. Default: found by the server, 0, |t1 - t0|.
dt : float
    Take equal steps of this size instead of adaptive ones; the last is shortened.
grid : array
    Take exactly these steps, as `Solution.grid` of a former call has them.
max_steps : int
    Accepted and rejected steps per trajectory. Default 1,000,000.
wall_budget : float
    Bound on the compute time of the whole call in seconds; what was reached by then is
    returned. Default: none.
return_grid : bool
    Return the accepted step times. Default False.
lanes : int
    Trajectories per SIMD kernel, 1 or the server's width. Results do not depend on it.
timeout : float
    Deadline of the call in seconds, inf for none. Default: the client's, 60 unless set.
"""

SIMULATION_NAMES = tuple(SimulationArguments.__annotations__)
_INT32_MAX = 2**31 - 1
_LONGEST_BUDGET = 1e9  # seconds: three decades
_ADAPTIVE_ONLY = ("rtol", "atol", "controller", "initial_step", "min_step", "max_step")


def check_arguments(
    call: str,
    arguments: Mapping[str, Any],
    known: Iterable[str] = SIMULATION_NAMES,
    all_names: Iterable[str] = (),
) -> None:
    """Raises the TypeError that an explicit signature would raise.

    `all_names` are those to suggest; default: `known`.
    """
    names = tuple(known)
    for name in arguments:
        if name not in names:
            near = unknown_name(name, tuple(all_names) or names)
            raise TypeError(f"{call}() got an unexpected keyword argument: {near}")


def needs_state_layout(arguments: SimulationArguments) -> bool:
    """Whether `simulation_to_proto` needs to know the model's states."""
    return isinstance(arguments.get("atol"), Mapping)


def simulation_to_proto(
    source: Any,
    arguments: SimulationArguments,
    *,
    default_end: float = 1.0,
    states: Layout | None = None,
) -> Any:
    """Builds a Simulation without what to save.

    Parameters
    ----------
    source
        ModelSource message.
    arguments
        As the user gave them.
    default_end
        t1 where there is no `t`.
    states
        Needed where `needs_state_layout`.
    """

    t0, t1 = span_of(arguments.get("t"), default_end)
    return _Simulation(
        model=source,
        t0=t0,
        t1=t1,
        params=named_arrays(arguments.get("params"), "params"),
        initial_state=named_arrays(arguments.get("y0"), "y0"),
        options=_options_to_proto(arguments, states),
    )


def span_of(t: Any, default_end: float) -> tuple[FloatArray, FloatArray]:
    """Returns t0 and t1, each [1] or [B]."""
    if t is None:
        t = (0.0, default_end)
    if not isinstance(t, (tuple, list)) and np.ndim(t) == 0:
        t = (0.0, t)
    try:
        start, end = t
    except (TypeError, ValueError):
        raise invalid("t", "expected (t0, t1), each a number or a batch of numbers") from None
    return as_vector(start, "t[0]"), as_vector(end, "t[1]")


def _options_to_proto(arguments: SimulationArguments, states: Layout | None) -> Any:
    options = _SolveOptions(return_grid=bool(arguments.get("return_grid")))
    options.method = METHODS.number(arguments.get("method") or "auto", "method")
    coupling, eta = arguments.get("coupling"), arguments.get("eta")
    if coupling is not None:
        options.coupling = float(coupling)
    if eta is not None:
        options.eta = float(eta)
    dt, grid = arguments.get("dt"), arguments.get("grid")
    given = [key for key in _ADAPTIVE_ONLY if arguments.get(key) is not None]
    if dt is not None and grid is not None:
        raise invalid("grid", "give either dt or grid, not both")
    if (dt is not None or grid is not None) and given:
        fixed = "dt" if dt is not None else "grid"
        raise invalid(given[0], f"has no meaning together with {fixed}, where steps are given")
    if dt is not None:
        options.fixed.step = float(dt)
    elif grid is not None:
        options.grid.times.CopyFrom(to_proto(as_vector(grid, "grid")))
    elif given:
        _fill_adaptive(options.adaptive, arguments, states)
    max_steps, lanes = arguments.get("max_steps"), arguments.get("lanes")
    if max_steps is not None:
        options.max_steps = whole(max_steps, "max_steps")
    if lanes is not None:
        options.lanes = min(whole(lanes, "lanes"), _INT32_MAX)
    wall_budget = arguments.get("wall_budget")
    if wall_budget is not None:
        if not 0 < wall_budget <= _LONGEST_BUDGET:
            raise invalid(
                "wall_budget",
                f"{wall_budget} s is no time above 0, and at most {_LONGEST_BUDGET:g} s",
            )
        options.wall_budget.FromNanoseconds(max(1, round(wall_budget * 1e9)))
    return options


def _fill_adaptive(adaptive: Any, arguments: SimulationArguments, states: Layout | None) -> None:
    # Also marks the message as present where all of its fields are unset.
    adaptive.SetInParent()
    rtol, atol = arguments.get("rtol"), arguments.get("atol")
    if rtol is not None:
        adaptive.rtol = float(rtol)
    if isinstance(atol, Mapping):
        assert states is not None
        adaptive.atol.extend(states.flatten(atol, "atol", fill=1e-9))
    elif atol is not None:
        adaptive.atol.extend(as_vector(atol, "atol"))
    controller = arguments.get("controller")
    if controller is not None:
        if not isinstance(controller, Controller):
            controller = Controller(controller)
        adaptive.controller = CONTROLLERS.number(controller.kind, "controller")
        for name in ("beta1", "beta2", "beta3", "safety", "min_factor", "max_factor"):
            value = getattr(controller, name)
            if value is not None:
                setattr(adaptive, name, float(value))
    for name, value in (
        ("initial_step", arguments.get("initial_step")),
        ("min_step", arguments.get("min_step")),
        ("max_step", arguments.get("max_step")),
    ):
        if value is not None:
            setattr(adaptive, name, float(value))


SaveAt = Union[None, str, int, npt.ArrayLike]


def fill_save(options: Any, save_at: SaveAt) -> None:
    """Writes what to keep: None or "end", "steps", every n-th step, or times."""
    if save_at is None:
        return
    if isinstance(save_at, str):
        if save_at == "end":
            options.save.end = True
        elif save_at == "steps":
            options.save.every_steps = 1
        else:
            raise invalid("save_at", f'{save_at!r} is none of "end", "steps", a number, times')
        return
    if isinstance(save_at, (int, np.integer)) and not isinstance(save_at, bool):
        if save_at < 1:
            raise invalid("save_at", f"every {save_at}-th step makes no sense; at least 1")
        options.save.every_steps = int(save_at)
        return
    times = as_floats(save_at, "save_at")
    if times.ndim != 1:
        raise invalid("save_at", f"expected a vector of times, not shape {list(times.shape)}")
    if not times.size:
        raise invalid("save_at", 'no times; leave it out, or say "end", for the end alone')
    options.save.times.times.CopyFrom(to_proto(times))


def last_time(times: npt.ArrayLike | None) -> float:
    """The end of the default span for these times."""
    array = np.asarray([] if times is None else times)
    if array.dtype.kind not in "fiu" or array.ndim != 1 or array.size == 0:
        return 1.0
    return float(array[np.argmax(np.abs(array))])


def options_from_proto(options: Any) -> dict[str, Any]:
    """What was in force, under the names of the keyword arguments."""
    found: dict[str, Any] = {"method": METHODS.name(options.method)}
    for name in ("coupling", "eta"):
        if options.HasField(name):
            found[name] = getattr(options, name)
    control = options.WhichOneof("control")
    if control == "fixed":
        found["dt"] = options.fixed.step
    elif control == "grid":
        found["grid"] = from_proto(options.grid.times)
    elif control == "adaptive":
        adaptive = options.adaptive
        found["rtol"] = adaptive.rtol
        atol = np.array(adaptive.atol, dtype=np.float64)
        found["atol"] = float(atol[0]) if atol.size == 1 else atol
        found["controller"] = CONTROLLERS.name(adaptive.controller)
        for field in adaptive.DESCRIPTOR.fields:
            if field.name not in ("rtol", "atol", "controller") and adaptive.HasField(field.name):
                found[field.name] = getattr(adaptive, field.name)
    found["save_at"] = _save_from_proto(options.save)
    found["max_steps"] = options.max_steps
    if options.HasField("wall_budget"):
        found["wall_budget"] = options.wall_budget.ToNanoseconds() * 1e-9
    found["return_grid"] = options.return_grid
    if options.lanes:
        found["lanes"] = options.lanes
    return found


def _save_from_proto(save: Any) -> Any:
    what = save.WhichOneof("what")
    if what == "times":
        return from_proto(save.times.times)
    if what == "every_steps":
        return "steps" if save.every_steps == 1 else save.every_steps
    return "end"
