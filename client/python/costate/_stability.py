"""Stability regions of methods, and the eigenvalues of models against them."""

from __future__ import annotations

import dataclasses
import html
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from costate import _proto, _rpc
from costate._arrays import FloatArray, from_proto, invalid, whole
from costate._bind import with_simulation_arguments
from costate._model import ModelLike
from costate._operations import Context, simulation_of
from costate._options import (
    METHODS,
    SimulationArguments,
    check_arguments,
    options_from_proto,
)
from costate._results import (
    SolveStats,
    Status,
    Timing,
    solve_stats_from_proto,
    status_from_proto,
    timing_from_proto,
)
from costate._rpc import Operation, Rpc

if TYPE_CHECKING:
    from typing_extensions import Unpack

ComplexArray = npt.NDArray[np.complex128]
Window = tuple[float, float, float, float]

_StabilityMethod = _proto.message("StabilityMethod")
_ComplexWindow = _proto.message("ComplexWindow")
_REVERSIBLE = _proto.enum_of_message("StabilityMethod", "Wrapper")["WRAPPER_REVERSIBLE"]

# Rasters of more samples than this come as a stream.
_LARGE_RASTER = 1_000_000


@dataclasses.dataclass(frozen=True, repr=False)
class StabilityRegion:
    """Where a method damps: the z = h * eigenvalue for which its steps do not grow.

    Attributes
    ----------
    method
        Name of the method, as in `Client.solve`.
    coupling, eta
        Of the reversible construction, and of "alf"; None where there is none.
    window
        (real_min, real_max, imag_min, imag_max) that was looked at.
    boundary
        Lines on which the spectral radius of a step is 1, each a complex array; closed where the
        first point equals the last. A method without damping (`coupling=1`, "alf",
        "reversible_heun", "leapfrog_midpoint") is stable on these lines only.
    real, imag
        Coordinates of the samples.
    radius
        [imag, real] spectral radius of a step at the samples, divided by |exp(z)| for an order
        star; None if left out.
    real_interval
        (left, 0): the stable part of the real axis that ends at 0.
    imag_interval
        (-b, b): the stable segment of the imaginary axis.
    area
        Of the region inside the window.
    order_star
        Whether boundary and raster compare with |exp(z)| instead of 1.
    """

    method: str
    coupling: float | None
    eta: float | None
    window: Window
    boundary: tuple[ComplexArray, ...]
    real: FloatArray
    imag: FloatArray
    radius: FloatArray | None
    real_interval: tuple[float, float]
    imag_interval: tuple[float, float]
    area: float
    order_star: bool

    @property
    def label(self) -> str:
        """ "rk4, coupling 0.99", for titles."""
        text = self.method
        if self.coupling is not None:
            text += f", coupling {self.coupling:g}"
        if self.eta is not None and self.eta != 1:
            text += f", eta {self.eta:g}"
        return text

    def plot(self, over: Stability | npt.ArrayLike | None = None, *, ax: Any = None) -> Any:
        """Draws the region; needs matplotlib.

        Parameters
        ----------
        over : Stability or array
            What to draw over it: the eigenvalues of a model times its steps, or any z.
        ax : matplotlib.axes.Axes
            Where to draw. Default: new axes.

        Returns
        -------
        matplotlib.axes.Axes
        """
        from costate._plot import plot_region

        return plot_region(self, over, ax=ax)

    def __repr__(self) -> str:
        left, reach = self.real_interval[0], self.imag_interval[1]
        return (
            f"<costate.StabilityRegion of {self.label}: real [{left:.4g}, 0], "
            f"imaginary +-{reach:.4g}i, area {self.area:.4g}>"
        )


class StabilityMode(NamedTuple):
    """One eigenvalue at one step.

    Attributes
    ----------
    t, step
        Where the step begins, and its size.
    eigenvalue
        Per unit of time.
    """

    t: float
    step: float
    eigenvalue: complex


class Reconstruction(NamedTuple):
    """What taking the steps of a reversible method back does to rounding.

    Attributes
    ----------
    reverse_growth
        Rounding grows by up to exp of this.
    worst_step
        The largest part of it that one step has.
    digits_left
        Decimal digits left of 15.95.
    checkpoint_every
        The argument of that name of `Client.gradient` that keeps about 7 digits; 0 if none is
        needed.
    """

    reverse_growth: float
    worst_step: float
    digits_left: float
    checkpoint_every: int


@dataclasses.dataclass(frozen=True, repr=False)
class Stability:
    """The steps of a solve, judged by the eigenvalues of df/dy on them. ``print`` it.

    A mode counts if it contracts: if the exact solution does not grow in it. A step is outside
    the region if, taken as often as the solve has steps, it would more than double such a mode.

    Attributes
    ----------
    times
        [K] beginnings of steps, evenly chosen among all.
    steps
        [K] sizes of these steps; negative backwards in time.
    eigenvalues
        [K, E] complex, per unit of time, larger modulus first; NaN where there are fewer.
    share_outside
        Of the steps, the share outside the region; NaN if there are none.
    growth
        Errors in contracting modes may grow by up to exp of this over the solve.
    largest_stable_steps
        [K] the largest stable step at each of the times.
    largest_stable_step
        The smallest of these; inf if nothing bounds it.
    stiffness_ratio
        Largest over smallest decay rate at one time; NaN without decay.
    worst, limiting
        The mode that grows most, and the one that bounds the step most; None if none does.
    reconstruction
        Of reversible methods; else None.
    advice
        What to change, if anything: step, method, coupling.
    region
        The region that was judged by.
    analysed_steps
        Steps whose eigenvalues were computed: all of `stats.accepted_steps`, or evenly chosen.
    complete
        Whether all eigenvalues were computed; of large systems the outer ones are.
    converged
        Whether the outer ones are more than estimates.
    status, stats, options, timing, model_name
        As in `Solution`.
    """

    times: FloatArray
    steps: FloatArray
    eigenvalues: ComplexArray
    share_outside: float
    growth: float
    largest_stable_steps: FloatArray
    largest_stable_step: float
    stiffness_ratio: float
    worst: StabilityMode | None
    limiting: StabilityMode | None
    reconstruction: Reconstruction | None
    advice: str
    region: StabilityRegion
    analysed_steps: int
    complete: bool
    converged: bool
    status: Status
    stats: SolveStats
    options: dict[str, Any]
    timing: Timing
    model_name: str

    @property
    def z(self) -> ComplexArray:
        """[K, E] step times eigenvalue: what lies in the region, or does not."""
        return self.steps[:, None] * self.eigenvalues

    def plot(self, *, ax: Any = None) -> Any:
        """Draws h * eigenvalues over the region, coloured by time; needs matplotlib."""
        return self.region.plot(self, ax=ax)

    def _rows(self) -> list[tuple[str, str]]:
        rows = [
            ("method", self.region.label),
            ("status", str(self.status)),
            ("steps outside", f"{100 * self.share_outside:.3g} %"),
            ("largest stable step", f"{self.largest_stable_step:.4g}"),
            ("stiffness ratio", f"{self.stiffness_ratio:.4g}"),
        ]
        if self.reconstruction is not None:
            digits = max(0, int(self.reconstruction.digits_left))
            rows.append(("taken back", f"{digits} digits left"))
        return rows

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self._rows())
        lines = [f"{name:<{width}}  {text}" for name, text in self._rows()]
        return "\n".join([*lines, self.advice])

    def __repr__(self) -> str:
        return f"<costate.Stability of {self.region.label}: {self.advice.split('. ')[0]}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in self._rows()
        )
        return f"<table>{rows}</table><p>{html.escape(self.advice)}</p>"


# Operations


def _method_to_proto(method: str, coupling: float | None, eta: float | None) -> Any:
    proto = _StabilityMethod(base=METHODS.number(method, "method"))
    if not proto.base:
        raise invalid("method", 'a region is that of one method; "auto" stands for none')
    if coupling is not None:
        proto.wrapper = _REVERSIBLE
        proto.coupling = float(coupling)
    if eta is not None:
        proto.eta = float(eta)
    return proto


def _samples(points: int | tuple[int, int]) -> tuple[int, int]:
    try:
        real, imag = points  # type: ignore[misc]
    except TypeError:
        real = imag = points
    return whole(real, "points", least=2), whole(imag, "points", least=2)


def _window_to_proto(window: Any, points: int | tuple[int, int]) -> Any:
    real_points, imag_points = _samples(points)
    proto = _ComplexWindow(real_points=real_points, imag_points=imag_points)
    if window is None:
        return proto
    try:
        bounds = [float(bound) for bound in window]
        proto.real_min, proto.real_max, proto.imag_min, proto.imag_max = bounds
    except (TypeError, ValueError):
        raise invalid(
            "window", "expected (real_min, real_max, imag_min, imag_max), four numbers"
        ) from None
    if not any(bounds):
        raise invalid("window", "is empty: all of its bounds are 0")
    return proto


class _Rows:
    """Puts a streamed raster together."""

    def __init__(self, real_points: int, imag_points: int) -> None:
        self._shape = (imag_points, real_points)
        self.radius: FloatArray | None = None
        self.summary: Any = None

    def take(self, message: Any) -> None:
        if message.WhichOneof("event") == "summary":
            self.summary = message.summary
            return
        if self.radius is None:  # Not before the server has agreed to the size.
            self.radius = np.empty(self._shape)
        rows = from_proto(message.rows.spectral_radius)
        first = message.rows.first_row
        self.radius[first : first + len(rows)] = rows


def _complex(array: Any) -> ComplexArray:
    parts = from_proto(array)
    found: ComplexArray = parts[..., 0] + 1j * parts[..., 1]
    return found


def region_from_proto(
    response: Any, radius: FloatArray | None, order_star: bool
) -> StabilityRegion:
    window, method = response.window, response.method
    return StabilityRegion(
        method=METHODS.name(method.base),
        coupling=method.coupling if method.HasField("coupling") else None,
        eta=method.eta if method.HasField("eta") else None,
        window=(window.real_min, window.real_max, window.imag_min, window.imag_max),
        boundary=tuple(_complex(line) for line in response.boundary),
        real=np.linspace(window.real_min, window.real_max, window.real_points),
        imag=np.linspace(window.imag_min, window.imag_max, window.imag_points),
        radius=radius,
        real_interval=(response.real_interval_left, 0.0),
        imag_interval=(-response.imag_interval, response.imag_interval),
        area=response.area,
        order_star=order_star,
    )


def _region(request: Any, timeout: float | None) -> Operation[StabilityRegion]:
    window = request.window
    if request.want_raster and window.real_points * window.imag_points > _LARGE_RASTER:
        rows = _Rows(window.real_points, window.imag_points)
        stream = _rpc.STREAM_STABILITY_REGION.request_class(region=request)
        yield Rpc(_rpc.STREAM_STABILITY_REGION, stream, timeout, each=rows.take)
        return region_from_proto(rows.summary, rows.radius, request.order_star)
    response = yield Rpc(_rpc.COMPUTE_STABILITY_REGION, request, timeout)
    radius = from_proto(response.spectral_radius) if request.want_raster else None
    return region_from_proto(response, radius, request.order_star)


def stability_region(
    context: Context,
    method: str,
    *,
    coupling: float | None = None,
    eta: float | None = None,
    window: Window | None = None,
    points: int | tuple[int, int] = 400,
    raster: bool = True,
    order_star: bool = False,
    timeout: float | None = None,
) -> Operation[StabilityRegion]:
    """Computes the stability region of a method.

    Parameters
    ----------
    method : str
        As in `solve`, "auto" excepted.
    coupling : float
        Of the reversible construction around a Runge-Kutta method, in (0, 1].
    eta : float
        Damping of "alf", in (0, 1], other than 0.5.
    window : (real_min, real_max, imag_min, imag_max)
        Part of the plane of z = h * eigenvalue. Default: all of the region.
    points : int or (int, int)
        Samples of the raster along the real and the imaginary axis, at most 1e8 in all. Large
        rasters are streamed. Default 400.
    raster : bool
        Compute `StabilityRegion.radius`. Boundary and intervals do not need it. Default True.
    order_star : bool
        Compare with |exp(z)| instead of 1. Default False.
    timeout : float
        Deadline in seconds. Default: the client's.

    Returns
    -------
    StabilityRegion

    Examples
    --------
    >>> region = client.stability_region("rk4", coupling=0.8)
    >>> region.real_interval
    (-0.223..., 0.0)
    >>> region.plot()
    """
    request = _rpc.COMPUTE_STABILITY_REGION.request_class(
        method=_method_to_proto(method, coupling, eta),
        window=_window_to_proto(window, points),
        want_raster=bool(raster),
        order_star=bool(order_star),
    )
    return (yield from _region(request, timeout))


def _against_to_proto(against: str | StabilityRegion) -> Any:
    if isinstance(against, StabilityRegion):
        return _method_to_proto(against.method, against.coupling, against.eta)
    return _method_to_proto(against, None, None)


def _mode(response: Any, name: str) -> StabilityMode | None:
    if not response.HasField(name):
        return None
    mode = getattr(response, name)
    return StabilityMode(mode.t, mode.step, complex(mode.real, mode.imag))


def _reconstruction(response: Any) -> Reconstruction | None:
    if not response.HasField("reconstruction"):
        return None
    found = response.reconstruction
    return Reconstruction(
        found.reverse_growth, found.worst_step, found.digits_left, found.checkpoint_every
    )


@with_simulation_arguments
def stability(
    context: Context,
    model: ModelLike,
    *,
    against: str | StabilityRegion | None = None,
    points: int | None = None,
    num_eigenvalues: int | None = None,
    **simulation: Unpack[SimulationArguments],
) -> Operation[Stability]:
    """Solves a model and judges its steps by the eigenvalues of df/dy: is my step stable, and why?

    Parameters
    ----------
    model : costate.Model, ModelInfo or str
        What to solve; a string is the text of a model or the name of a registered one.
    against : str or StabilityRegion
        Judge by the region of another method than the one that takes the steps.
    points : int
        Times at which eigenvalues are returned, at most 10,000. Default 50, 10 beyond 200
        states.
    num_eigenvalues : int
        Eigenvalues at each, those of largest modulus; at most 200. Default: all up to 200 states,
        20 beyond.
    <simulation>

    Returns
    -------
    Stability

    Examples
    --------
    >>> s = client.stability(model, t=(0, 10), method="rk4", dt=0.01)
    >>> print(s.advice)
    >>> s.plot()
    """
    check_arguments("stability", simulation)
    problem = yield from simulation_of(context, model, simulation, 1.0)
    request = _rpc.ANALYZE_STABILITY.request_class(simulation=problem)
    if against is not None:
        request.method.CopyFrom(_against_to_proto(against))
    if points is not None:
        request.num_points = min(whole(points, "points"), 2**31 - 1)
    if num_eigenvalues is not None:
        request.num_eigenvalues = min(whole(num_eigenvalues, "num_eigenvalues"), 2**31 - 1)
    timeout = simulation.get("timeout")
    response = yield Rpc(_rpc.ANALYZE_STABILITY, request, timeout)
    return (yield from stability_from_proto(response, timeout))


def stability_from_proto(response: Any, timeout: float | None) -> Operation[Stability]:
    """Converts an AnalyzeStabilityResponse, asking for the region to draw it over."""
    region = yield from _region(
        _rpc.COMPUTE_STABILITY_REGION.request_class(method=response.method), timeout
    )
    return Stability(
        times=from_proto(response.times),
        steps=from_proto(response.steps),
        eigenvalues=_complex(response.eigenvalues),
        share_outside=response.share_outside,
        growth=response.growth,
        largest_stable_steps=from_proto(response.largest_stable_steps),
        largest_stable_step=response.largest_stable_step,
        stiffness_ratio=response.stiffness_ratio,
        worst=_mode(response, "worst"),
        limiting=_mode(response, "limiting"),
        reconstruction=_reconstruction(response),
        advice=response.advice,
        region=region,
        analysed_steps=response.analysed_steps,
        complete=response.complete,
        converged=response.converged,
        status=status_from_proto(response.termination),
        stats=solve_stats_from_proto(response.stats),
        options=options_from_proto(response.options),
        timing=timing_from_proto(response.timing),
        model_name=response.model,
    )
