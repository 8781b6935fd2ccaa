"""What a fit found."""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from costate._arrays import FloatArray, Layout, Tensors, from_proto
from costate._fit_options import OUTCOMES, fit_options_from_proto
from costate._fit_problem import NOISE_MODELS, SCALES
from costate._names import unknown_name
from costate._options import options_from_proto
from costate._report import align, grid_html
from costate.errors import UnknownName

if TYPE_CHECKING:
    from costate._model import ModelInfo

_NO_LAYOUT = Layout(())


@dataclasses.dataclass(frozen=True, eq=False)
class FitStart:
    """One start of a fit, from its first point to its last.

    Attributes
    ----------
    index
        0 for the given point; drawn ones from 1.
    outcome
        "converged", "max_iterations", "diverged" (no finite objective was found), "stalled" (no
        further decrease, though no tolerance was met).
    objective
        Negative log likelihood, priors included; inf if it was never finite.
    start_values, values
        [free] first and last point, in the order of `FitResult.names`.
    iterations, evaluations
        What it took.
    trace
        [iterations + 1] objective, best so far.
    gradient_norm
        Largest component in the coordinates of the search, those held by a bound left out; NaN
        where it is not known.
    detail
        One sentence.
    """

    index: int
    outcome: str
    objective: float
    start_values: FloatArray
    values: FloatArray
    iterations: int
    evaluations: int
    trace: FloatArray
    gradient_norm: float
    detail: str

    def __repr__(self) -> str:
        return (
            f"<costate.FitStart {self.index}: {self.outcome.replace('_', ' ')}, "
            f"objective {self.objective:.8g}, {self.iterations} iterations>"
        )


@dataclasses.dataclass(frozen=True)
class Estimate:
    """One element at the best point.

    Attributes
    ----------
    name
        As in `FitResult.names`.
    value
        The estimate.
    standard_error
        NaN where the data do not identify it, and on a bound.
    interval
        95 % interval by the curvature at the estimate; NaN where there is no standard error.
    bounds
        In force; infinite where there are none.
    at_bound
        Whether it lies on one.
    scale
        In which coordinate it was searched.
    """

    name: str
    value: float
    standard_error: float
    interval: tuple[float, float]
    bounds: tuple[float, float]
    at_bound: bool
    scale: str

    @property
    def bound(self) -> str:
        """ "lower" or "upper" where it lies on one, else empty."""
        if not self.at_bound:
            return ""
        lower, upper = self.bounds
        return "lower" if abs(self.value - lower) <= abs(upper - self.value) else "upper"


@dataclasses.dataclass(frozen=True, eq=False)
class FittedSeries:
    """One data series beside the model; a tensor's data are a series for each element.

    Attributes
    ----------
    condition, channel
        What was observed, and where; the condition is empty where there is only one.
    is_state
        Whether the channel is a state.
    noise
        As in `costate.Data`.
    t, values
        [N] as they were given.
    sigma
        [N] scale of the noise, as given or estimated.
    scale, offset
        Between model and data, as far as they were estimated; else 1 and 0.
    fitted
        [N] values of the model at the best point, scale and offset included.
    residuals
        [N] (value - fitted) / sigma, of logarithms where the noise is; NaN where missing.
    """

    condition: str
    channel: str
    is_state: bool
    noise: str
    t: FloatArray
    values: FloatArray
    sigma: FloatArray
    scale: float
    offset: float
    fitted: FloatArray
    residuals: FloatArray

    @property
    def label(self) -> str:
        """ "y[0]", or "y[0]@condition"."""
        return self.channel + (f"@{self.condition}" if self.condition else "")

    @property
    def logarithmic(self) -> bool:
        """Whether the noise is of logarithms."""
        return self.noise.startswith("log_")

    def __repr__(self) -> str:
        return f"<costate.FittedSeries {self.label}, {len(self.t)} times>"


@dataclasses.dataclass(frozen=True, eq=False)
class FittedTrajectory:
    """The model at the best point under one condition.

    Attributes
    ----------
    condition
        Its name; empty where there is only one.
    t
        [K] times.
    states, outputs
        Mappings from name to [K] + shape. ``trajectory["i"]`` looks in both.
    """

    condition: str
    t: FloatArray
    states: Tensors
    outputs: Tensors

    def __getitem__(self, name: str) -> FloatArray:
        for tensors in (self.states, self.outputs):
            if name in tensors:
                return tensors[name]
        raise UnknownName(unknown_name(name, [*self.states, *self.outputs]))

    def __repr__(self) -> str:
        where = f" of {self.condition}" if self.condition else ""
        return f"<costate.FittedTrajectory{where}, {len(self.t)} times>"


class FitResult:
    """What a fit found; ``print`` it, or show it in a notebook.

    Arrays over free elements are in the order of `names`: the elements asked for, then estimated
    sigmas, scales and offsets.

    Attributes
    ----------
    names
        Of the free elements: "b", "W[0,2]", "b@condition", "sigma(output)".
    best
        The estimates by name.
    objective
        Negative log likelihood at the best point, priors included.
    estimates
        An `Estimate` for each name.
    starts
        A `FitStart` for each, the best one first.
    starts_at_best
        How many are within 0.1 of the best objective.
    covariance, correlation
        [free, free] from the curvature at the best point; NaN rows and columns for what the data
        do not identify and for what lies on a bound.
    fisher_information
        [free, free] that curvature, priors included.
    eigenvalues
        [free] of the curvature in the coordinates of the search, ascending.
    unidentified
        What the data do not identify, a sentence each.
    fitted, residuals
        [N] for each data series: the model's values at its times, and what is left of the data
        in units of the noise.
    series
        A `FittedSeries` for each data series: these beside the data.
    trajectories
        A `FittedTrajectory` for each condition, by name.
    options, solve_options
        What was in force, under the names of the keyword arguments.
    job
        Name of the job.
    """

    def __init__(self, message: Any, request: Any, info: ModelInfo | None, job: str) -> None:
        self._request = request
        self.job = job
        self.names: tuple[str, ...] = tuple(message.names)
        self.estimates = tuple(_estimate(entry) for entry in message.estimates)
        self.best: dict[str, float] = {e.name: e.value for e in self.estimates}
        self.starts = tuple(_start(entry) for entry in message.starts)
        self.starts_at_best = int(message.starts_at_best)
        self.covariance: FloatArray = from_proto(message.covariance)
        self.correlation: FloatArray = from_proto(message.correlation)
        self.fisher_information: FloatArray = from_proto(message.fisher_information)
        self.eigenvalues: FloatArray = from_proto(message.eigenvalues).reshape(-1)
        self.unidentified: tuple[str, ...] = tuple(message.unidentified)
        self.fitted: tuple[FloatArray, ...] = tuple(_vector(one) for one in message.fitted)
        self.residuals: tuple[FloatArray, ...] = tuple(_vector(one) for one in message.residuals)
        self.series = _series(self, request)
        self.trajectories: Mapping[str, FittedTrajectory] = {
            entry.condition: _trajectory(entry, info) for entry in message.trajectories
        }
        self.options: dict[str, Any] = fit_options_from_proto(message.options)
        self.solve_options: dict[str, Any] = options_from_proto(message.solve_options)
        self.model_name = info.display_name if info else ""

    @property
    def objective(self) -> float:
        """Of the best start; inf where none was finite."""
        return self.starts[0].objective if self.starts else math.inf

    @property
    def standard_errors(self) -> dict[str, float]:
        """By name."""
        return {e.name: e.standard_error for e in self.estimates}

    def __getitem__(self, name: str) -> float:
        """One estimate."""
        if name not in self.best:
            raise UnknownName(unknown_name(name, self.names))
        return self.best[name]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain dicts, lists and arrays, for tables and files of any kind."""
        return {
            "job": self.job,
            "model": self.model_name,
            "objective": self.objective,
            "starts_at_best": self.starts_at_best,
            "names": list(self.names),
            "best": dict(self.best),
            "estimates": [dataclasses.asdict(e) for e in self.estimates],
            "covariance": self.covariance,
            "correlation": self.correlation,
            "fisher_information": self.fisher_information,
            "eigenvalues": self.eigenvalues,
            "unidentified": list(self.unidentified),
            "starts": [dict(vars(start)) for start in self.starts],
            "series": [dict(vars(series)) for series in self.series],
            "trajectories": [
                {
                    "condition": one.condition,
                    "t": one.t,
                    "states": {name: one.states[name] for name in one.states},
                    "outputs": {name: one.outputs[name] for name in one.outputs},
                }
                for one in self.trajectories.values()
            ],
        }

    # Text

    def _headline(self) -> str:
        count = len(self.starts)
        starts = "1 start" if count == 1 else f"{self.starts_at_best} of {count} starts agree"
        model = f" of {self.model_name}" if self.model_name else ""
        method = str(self.options.get("method", "")).replace("_", "-")
        return f"Fit{model}: objective {self.objective:.8g}, {starts} ({method})"

    def _rows(self) -> list[list[str]]:
        rows = []
        for e in self.estimates:
            note = f"at its {e.bound} bound" if e.at_bound else ""
            if not note and math.isnan(e.standard_error):
                note = "not identified"
            rows.append(
                [
                    e.name,
                    f"{e.value:.6g}",
                    _figure(e.standard_error, "{:.2g}"),
                    _pair(e.interval, "{:.5g}"),
                    _pair(e.bounds, "{:.4g}"),
                    note,
                ]
            )
        return rows

    def _notes(self) -> list[str]:
        notes = list(self.unidentified)
        failed = [start for start in self.starts if start.outcome == "diverged"]
        if failed:
            notes.append(f"{len(failed)} of {len(self.starts)} starts diverged: {failed[0].detail}")
        best = self.starts[0] if self.starts else None
        if best is not None and best.outcome != "converged":
            notes.append(f"the best start has {best.outcome.replace('_', ' ')}: {best.detail}")
        return notes

    def table(self) -> str:
        """The estimates with standard errors, 95 % intervals and bounds, as text."""
        rows = self._rows()
        header = list(_HEADER)
        if not any(row[-1] for row in rows):
            header, rows = header[:-1], [row[:-1] for row in rows]
        return "\n".join(align([header, *rows]))

    def __str__(self) -> str:
        notes = [f"  * {note}" for note in self._notes()]
        return "\n".join([self._headline(), "", self.table(), *(["", *notes] if notes else [])])

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} = {value:.5g}" for name, value in list(self.best.items())[:6])
        more = ", ..." if len(self.best) > 6 else ""
        return f"<costate.FitResult objective {self.objective:.8g}: {shown}{more}>"

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self._notes())
        return (
            f"<p><b>{html.escape(self._headline())}</b></p>{grid_html(_HEADER, self._rows())}"
            + (f"<ul>{notes}</ul>" if notes else "")
        )

    # Pictures

    def plot_fit(
        self,
        names: Sequence[str] | str | None = None,
        *,
        axes: Any = None,
        labels: Mapping[str, str] | None = None,
        time_label: str = "t",
    ) -> Any:
        """Draws data with error bars over the fitted model, and the residuals below.

        Parameters
        ----------
        names
            Outputs and states to draw. Default: all that were observed.
        axes
            One matplotlib axes to draw a single condition into, without residuals. Default: a
            figure with a panel for each condition.
        labels
            What to write for a channel, with its unit: ``{"in_bed": "boys in bed"}``.
        time_label
            Likewise for time.

        Returns
        -------
        numpy.ndarray of matplotlib.axes.Axes
            Panels of the fit above, residuals below.
        """
        from costate._fit_plot import plot_fit

        return plot_fit(self, names, axes=axes, labels=labels, time_label=time_label)

    def plot_waterfall(self, *, ax: Any = None) -> Any:
        """Draws the final objectives of all starts, sorted; steps are other minima."""
        from costate._fit_plot import plot_waterfall

        return plot_waterfall(self, ax=ax)

    def plot_trace(self, *, ax: Any = None) -> Any:
        """Draws how the objective of every start fell with its iterations."""
        from costate._fit_plot import plot_trace

        return plot_trace(self, ax=ax)

    def plot_correlation(self, *, ax: Any = None) -> Any:
        """Draws the correlation matrix of the estimates."""
        from costate._fit_plot import plot_correlation

        return plot_correlation(self, ax=ax)

    def plot_parallel(self, *, ax: Any = None) -> Any:
        """Draws where every start has ended between the bounds, the best on top."""
        from costate._fit_plot import plot_parallel

        return plot_parallel(self, ax=ax)


_HEADER = ("", "estimate", "std. error", "95 % interval", "bounds", "")


def _figure(value: float, text: str) -> str:
    return "" if math.isnan(value) else text.format(value)


def _pair(values: tuple[float, float], text: str) -> str:
    if all(math.isnan(value) for value in values):
        return ""
    return " .. ".join(text.format(value) for value in values)


def _estimate(entry: Any) -> Estimate:
    return Estimate(
        name=entry.name,
        value=entry.value,
        standard_error=entry.standard_error,
        interval=(entry.interval_lower, entry.interval_upper),
        bounds=(entry.lower, entry.upper),
        at_bound=entry.at_bound,
        scale=SCALES.name(entry.scale) if entry.scale else "linear",
    )


def _start(entry: Any) -> FitStart:
    return FitStart(
        index=entry.index,
        outcome=OUTCOMES.name(entry.outcome),
        objective=entry.objective,
        start_values=_vector(entry.start_values),
        values=_vector(entry.values),
        iterations=entry.iterations,
        evaluations=entry.evaluations,
        trace=_vector(entry.trace),
        gradient_norm=entry.gradient_norm,
        detail=entry.detail,
    )


def _vector(message: Any) -> FloatArray:
    return from_proto(message).reshape(-1)


def _series(result: FitResult, request: Any) -> tuple[FittedSeries, ...]:
    """Empty where the request is so large that the server sent the result alone."""
    several, best = len(request.conditions) > 1, result.best
    found = []
    for data, fitted, residuals in zip(request.data, result.fitted, result.residuals):
        channel = getattr(data, data.WhichOneof("channel"))
        condition = data.condition or (request.conditions[0].name if request.conditions else "")
        group = data.group or channel + (f"@{condition}" if several else "")
        t, sigma = _vector(data.times), _vector(data.sigma)
        if not sigma.size:
            sigma = np.array([best.get(f"sigma({group})", math.nan)])
        found.append(
            FittedSeries(
                condition=condition,
                channel=channel,
                is_state=data.WhichOneof("channel") == "state",
                noise=NOISE_MODELS.name(data.noise) if data.noise else "gaussian",
                t=t,
                values=_vector(data.values),
                sigma=np.broadcast_to(sigma, t.shape).copy(),
                scale=best.get(f"scale({group})", 1.0) if data.estimate_scale else 1.0,
                offset=best.get(f"offset({group})", 0.0) if data.estimate_offset else 0.0,
                fitted=fitted,
                residuals=residuals,
            )
        )
    return tuple(found)


def _trajectory(entry: Any, info: ModelInfo | None) -> FittedTrajectory:
    t = _vector(entry.times)

    def tensors(message: Any, layout: Layout) -> Tensors:
        flat = from_proto(message)
        if flat.size != len(t) * layout.size:  # The model is not there any more.
            return Tensors(np.empty((len(t), 0)), _NO_LAYOUT)
        return Tensors(flat.reshape(len(t), layout.size), layout)

    return FittedTrajectory(
        condition=entry.condition,
        t=t,
        states=tensors(entry.states, info.state_layout if info else _NO_LAYOUT),
        outputs=tensors(entry.outputs, info.output_layout if info else _NO_LAYOUT),
    )
