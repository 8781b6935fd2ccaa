"""Gradients, products with Jacobians and sensitivities as calls return them."""

from __future__ import annotations

from typing import Any

import numpy as np

from costate._arrays import FloatArray, Layout, Tensors, from_proto
from costate._batch_report import BatchReport
from costate._gradient_options import gradient_options_from_proto
from costate._names import unknown_name
from costate._options import GRADIENT_METHODS, TANGENT_CONTROLS, options_from_proto
from costate._report import GradientReport
from costate._results import (
    GradientStats,
    SolveStats,
    Status,
    Timing,
    gradient_stats_from_proto,
    statuses_from_proto,
    timing_from_proto,
    total_gradient_stats,
    worst,
)
from costate._solution import Solution, _batch_status, solution_of_pass, table_html
from costate.errors import UnknownName


class Derivative:
    """What all answers with derivatives share.

    Attributes
    ----------
    options
        Every option of the solve in force.
    timing
        Where the time went on the server.
    model_name
        Resource name of the model.
    """

    def __init__(self, response: Any) -> None:
        self.layout = Layout.from_proto(response.wrt_layout)
        self.options: dict[str, Any] = options_from_proto(response.options)
        self.timing: Timing = timing_from_proto(response.timing)
        self.model_name: str = response.model

    @property
    def wrt(self) -> tuple[str, ...]:
        """Names differentiated by, in the order of the columns."""
        return self.layout.names

    def _summary(self) -> list[tuple[str, str]]:
        raise NotImplementedError

    def __repr__(self) -> str:
        lines = [f"  {name:<12}{text}" for name, text in self._summary()]
        return f"<costate.{type(self).__name__}\n" + "\n".join(lines) + ">"

    def _repr_html_(self) -> str:
        return table_html(type(self).__name__, self._summary())


class Gradient(Derivative):
    """Loss and gradient of one trajectory, or of each of a batch of B.

    Both are NaN where the solve ended early: see `status`.

    Attributes
    ----------
    value
        The loss: a float, or [B].
    vector
        [q] or [B, q] gradient: the elements of the first name of `wrt`, row-major, then those of
        the second, and so on. ``g["b"]`` is the part of one name: shape, or [B] + shape.
    method
        How it was computed: "forward", "backprop", ...
    method_reason
        Why that was chosen; empty if it was asked for.
    tangent_control
        "full" or "primal_only", of forward gradients.
    batched
        Whether there is a batch axis.
    statuses, stats_each
        One per trajectory.
    grids
        Accepted step times per trajectory, where `return_grid` asked for them.
    saved
        The values the loss was computed from, where `want_saved` asked for them; else None.
    reports
        A statement of trust per trajectory, None for those of a batch that
        `costate.Report.every` leaves out; empty with ``report=False``. See `report`.
    times, time_gradient
        [K] times the loss looked at, and the derivative of the loss by them, [K] or [B, K], where
        `time_gradient` asked for it; else None.
    gradient_options
        What was in force, under the names of the keyword arguments.
    """

    def __init__(self, response: Any) -> None:
        super().__init__(response)
        self.batched = bool(response.batched)
        losses = from_proto(response.loss).reshape(-1)
        rows = from_proto(response.gradient).reshape(len(losses), self.layout.size)
        self.value: float | FloatArray = losses if self.batched else float(losses[0])
        self.vector: FloatArray = rows if self.batched else rows[0]
        chosen = response.gradient_options
        self.method = GRADIENT_METHODS.name(chosen.method)
        self.method_reason: str = response.method_reason
        self.tangent_control = TANGENT_CONTROLS.name(chosen.tangent_control)
        self.statuses: tuple[Status, ...] = statuses_from_proto(response.terminations)
        self.stats_each = tuple(gradient_stats_from_proto(s) for s in response.stats)
        self.grids = tuple(from_proto(grid.times) for grid in response.grids)
        self.saved = self._saved(response) if response.HasField("saved_times") else None
        self.reports: tuple[GradientReport | None, ...] = tuple(
            GradientReport(report, self.layout, row) if report.verdict else None
            for report, row in zip(response.reports, rows)
        )
        self.gradient_options: dict[str, Any] = gradient_options_from_proto(chosen)
        self.times: FloatArray | None = None
        self.time_gradient: FloatArray | None = None
        if response.HasField("time_gradient"):
            by_time = from_proto(response.time_gradient).reshape(len(losses), -1)
            self.time_gradient = by_time if self.batched else by_time[0]
            self.times = from_proto(response.options.save.times.times).reshape(-1)

    def _saved(self, response: Any) -> Solution:
        t = from_proto(response.saved_times).reshape(-1)

        def tensors(message: Any, layouts: Any) -> Tensors:
            layout = Layout.from_proto(layouts)
            rows = from_proto(message).reshape(len(self.statuses), len(t), layout.size)
            return Tensors(rows if self.batched else rows[0], layout)

        solve_stats: list[SolveStats] = [stats.solve for stats in self.stats_each]
        return Solution(
            t=t,
            states=tensors(response.saved_states, response.state_layout),
            outputs=tensors(response.saved_outputs, response.output_layout),
            lengths=[len(t)] * len(self.statuses),
            batched=self.batched,
            statuses=self.statuses,
            stats=solve_stats,
            grids=self.grids,
            options=self.options,
            timing=self.timing,
            model_name=self.model_name,
        )

    @property
    def status(self) -> Status:
        """Why the solve ended; of a batch, the first that did not reach the end, if any."""
        return worst(self.statuses)

    @property
    def success(self) -> bool:
        """Whether every trajectory reached the end."""
        return all(self.statuses)

    @property
    def stats(self) -> GradientStats:
        """What it took; of a batch, the sum."""
        return total_gradient_stats(self.stats_each)

    @property
    def grid(self) -> FloatArray | None:
        """Accepted step times, or None if not asked for. Of a batch see `grids`."""
        if not self.grids:
            return None
        if self.batched:
            raise ValueError("a batch has one grid per trajectory, see `grids`")
        return self.grids[0]

    @property
    def report(self) -> GradientReport | BatchReport | None:
        """How far this can be trusted; None if not asked for. Of a batch, all that were made."""
        if not any(self.reports):
            return None
        return BatchReport(self.reports) if self.batched else self.reports[0]

    def __getitem__(self, name: str) -> FloatArray:
        """Derivative with respect to one name: shape, or [B] + shape."""
        return self.layout.pick(self.vector, name)

    def keys(self) -> tuple[str, ...]:
        """Names of `wrt`."""
        return self.wrt

    def __len__(self) -> int:
        """Number of trajectories."""
        return len(self.statuses)

    def _summary(self) -> list[tuple[str, str]]:
        if self.batched:
            names = ", ".join(self.wrt)
            rows = [("value", f"[{len(self)}]")]
            rows.append(("gradient", f"{list(self.vector.shape)} by {names}"))
        else:
            rows = [("value", f"{self.value:.10g}")]
            rows += [(f"d/d {name}", brief(self[name])) for name in self.wrt[:12]]
            if len(self.wrt) > 12:
                rows.append(("...", f"{len(self.wrt)} names"))
        rows.append(("method", _method_line(self.method, self.method_reason)))
        if self.report is not None:
            rows.append(("verdict", self.report.headline()))
        rows.append(("status", _batch_status(self.statuses)))
        rows.append(("cost", str(self.stats)))
        return rows


class Vjp(Derivative):
    """Gradients of V linear functionals of one solve; NaN where it ended early.

    Attributes
    ----------
    gradients
        [V, q], in the order of the cotangents. ``v["b"]`` is the part of one name: [V] + shape.
    values
        [V] the functionals themselves.
    method, method_reason
        As in `Gradient`.
    status, stats
        Of the one pass.
    grid
        Accepted step times, or None if not asked for.
    """

    def __init__(self, response: Any) -> None:
        super().__init__(response)
        self.values = from_proto(response.values).reshape(-1)
        rows = from_proto(response.gradients)
        self.gradients: FloatArray = rows.reshape(len(self.values), self.layout.size)
        self.method = GRADIENT_METHODS.name(response.gradient_options.method)
        self.method_reason: str = response.method_reason
        self.status = statuses_from_proto([response.termination])[0]
        self.stats = gradient_stats_from_proto(response.stats)
        self.grid = from_proto(response.grid.times) if response.HasField("grid") else None

    @property
    def success(self) -> bool:
        """Whether the solve reached its end."""
        return self.status.success

    def __getitem__(self, name: str) -> FloatArray:
        """Derivatives with respect to one name: [V] + shape."""
        return self.layout.pick(self.gradients, name)

    def __len__(self) -> int:
        """Number of cotangents."""
        return len(self.values)

    def _summary(self) -> list[tuple[str, str]]:
        return [
            ("values", brief(self.values)),
            ("gradients", f"{list(self.gradients.shape)} by {', '.join(self.wrt)}"),
            ("method", _method_line(self.method, self.method_reason)),
            ("status", str(self.status)),
            ("cost", str(self.stats)),
        ]


class _Tangents(Derivative):
    """Derivatives that come with the saved values they belong to.

    Attributes
    ----------
    solution
        The values of the same pass.
    tangent_control
        "full" or "primal_only".
    stats
        Of the one pass.
    """

    def __init__(self, response: Any) -> None:
        super().__init__(response)
        self.solution = solution_of_pass(
            response, response.times, response.states, response.outputs
        )
        self.tangent_control = TANGENT_CONTROLS.name(response.tangent_control)
        self.stats = gradient_stats_from_proto(response.stats)

    @property
    def t(self) -> FloatArray:
        """[K] saved times."""
        return self.solution.t

    @property
    def status(self) -> Status:
        """Why the solve ended."""
        return self.solution.status

    @property
    def success(self) -> bool:
        """Whether the solve reached its end."""
        return self.solution.success

    @property
    def grid(self) -> FloatArray | None:
        """Accepted step times, or None if not asked for."""
        return self.solution.grid

    def _pick(self, states: FloatArray, outputs: FloatArray, name: str, axis: int) -> FloatArray:
        for flat, tensors in ((states, self.solution.states), (outputs, self.solution.outputs)):
            if name in tensors:
                return tensors.layout.pick(flat, name, axis=axis)
        raise UnknownName(unknown_name(name, self.solution.keys()))


class Jvp(_Tangents):
    """Derivatives of the saved values in V directions; NaN where the solve ended early.

    Attributes
    ----------
    state_tangents, output_tangents
        [V, K, n] and [V, K, k]. ``j["i"]`` is the part of one state or output: [V, K] + shape.
    """

    def __init__(self, response: Any) -> None:
        super().__init__(response)
        times = len(self.t)
        states, outputs = self.solution.states, self.solution.outputs
        # Every model has states; one without outputs does not tell the number of directions.
        self.state_tangents = from_proto(response.state_tangents).reshape(
            -1, times, states.layout.size
        )
        self.output_tangents = from_proto(response.output_tangents).reshape(
            len(self.state_tangents), times, outputs.layout.size
        )

    def __getitem__(self, name: str) -> FloatArray:
        """Tangents of one state or output: [V, K] + shape."""
        return self._pick(self.state_tangents, self.output_tangents, name, -1)

    def __len__(self) -> int:
        """Number of directions."""
        return len(self.state_tangents)

    def _summary(self) -> list[tuple[str, str]]:
        return [
            ("tangents", f"{len(self)} directions x {len(self.t)} times in {', '.join(self.wrt)}"),
            ("of", ", ".join(self.solution.keys())),
            ("status", str(self.status)),
            ("cost", str(self.stats)),
        ]


class Sensitivities(_Tangents):
    """The derivative of every saved value by every column; NaN where the solve ended early.

    ``s["i", "b"]`` is d i / d b: [K] + shape of i + shape of b; ``s["i"]`` has all columns:
    [K] + shape of i + [q].

    Attributes
    ----------
    state_matrix, output_matrix
        [K, n, q] and [K, k, q].
    """

    def __init__(self, response: Any) -> None:
        super().__init__(response)
        times, columns = len(self.t), self.layout.size
        states, outputs = self.solution.states, self.solution.outputs
        self.state_matrix = from_proto(response.state_sensitivities).reshape(
            times, states.layout.size, columns
        )
        self.output_matrix = from_proto(response.output_sensitivities).reshape(
            times, outputs.layout.size, columns
        )

    def __getitem__(self, key: str | tuple[str, str]) -> FloatArray:
        if isinstance(key, str):
            return self._pick(self.state_matrix, self.output_matrix, key, 1)
        of, by = key
        return self.layout.pick(self._pick(self.state_matrix, self.output_matrix, of, 1), by)

    def _summary(self) -> list[tuple[str, str]]:
        return [
            ("of", ", ".join(self.solution.keys())),
            ("by", ", ".join(self.wrt)),
            ("saved", f"{len(self.t)} times"),
            ("status", str(self.status)),
            ("cost", str(self.stats)),
        ]


def _method_line(method: str, reason: str) -> str:
    # The server's reason mostly starts with the method.
    if reason.startswith(method):
        return reason
    return f"{method} ({reason})" if reason else method


def brief(values: FloatArray) -> str:
    array = np.asarray(values)
    if array.ndim == 0:
        return f"{float(array):.10g}"
    if array.size <= 4:
        return np.array2string(array, precision=6, separator=", ").replace("\n", "")
    return f"{list(array.shape)}, largest magnitude {np.max(np.abs(array)):.4g}"
