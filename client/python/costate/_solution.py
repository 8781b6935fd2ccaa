"""Trajectories as a call returns them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from costate._arrays import FloatArray, Layout, Tensors, from_proto
from costate._names import unknown_name
from costate._options import options_from_proto
from costate._results import (
    SolveStats,
    Status,
    Timing,
    solve_stats_from_proto,
    statuses_from_proto,
    timing_from_proto,
    total_solve_stats,
    worst,
)
from costate.errors import UnknownName


class Solution:
    """Saved values of a solve: of one trajectory, or of a batch of B.

    K is the number of saved times. Where trajectories of a batch were saved at a different
    number of times (``save_at="steps"``), K is the largest and the rest is NaN; `lengths` tells
    how many are real. Values at times that were not reached are NaN too.

    Attributes
    ----------
    t
        [K] times; [B, K] where they differ between trajectories.
    y
        [K, n] or [B, K, n] all states side by side, in order of declaration; None if left out.
    states, outputs
        Mappings from name to [K] + shape or [B, K] + shape. ``sol["i"]`` looks in both.
    batched
        Whether there is a batch axis.
    statuses, stats_each
        One per trajectory.
    lengths
        [B] saved times per trajectory.
    grids
        Accepted step times per trajectory, where `return_grid` asked for them; else empty.
    options
        Every option in force, under the names of the keyword arguments.
    timing
        Where the time went on the server.
    model_name
        Resource name of the model.
    """

    def __init__(
        self,
        *,
        t: FloatArray,
        states: Tensors,
        outputs: Tensors,
        lengths: npt.ArrayLike,
        batched: bool,
        statuses: Sequence[Status],
        stats: Sequence[SolveStats],
        grids: Sequence[FloatArray],
        options: dict[str, Any],
        timing: Timing,
        model_name: str,
    ) -> None:
        self.t = t
        self.states = states
        self.outputs = outputs
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.batched = batched
        self.statuses = tuple(statuses)
        self.stats_each = tuple(stats)
        self.grids = tuple(grids)
        self.options = options
        self.timing = timing
        self.model_name = model_name

    @property
    def y(self) -> FloatArray:
        """[K, n] or [B, K, n]."""
        return self.states.flat

    @property
    def status(self) -> Status:
        """Why it ended; of a batch, the first trajectory that did not reach the end, if any."""
        return worst(self.statuses)

    @property
    def success(self) -> bool:
        """Whether every trajectory reached the end."""
        return all(self.statuses)

    @property
    def stats(self) -> SolveStats:
        """What it took; of a batch, the sum."""
        return total_solve_stats(self.stats_each)

    @property
    def grid(self) -> FloatArray | None:
        """Accepted step times, to be given to a later call; None if not asked for.

        Of a batch see `grids`.
        """
        if not self.grids:
            return None
        if self.batched:
            raise ValueError("a batch has one grid per trajectory, see `grids`")
        return self.grids[0]

    @property
    def final(self) -> dict[str, FloatArray]:
        """The last saved value of each state and output: shape, or [B] + shape."""
        rows = np.maximum(self.lengths - 1, 0)
        found = {}
        for name in (*self.states, *self.outputs):
            values = self[name]
            found[name] = values[np.arange(len(rows)), rows] if self.batched else values[-1]
        return found

    def __getitem__(self, name: str) -> FloatArray:
        """Values of a state or output: [K] + shape, or [B, K] + shape; "y[1]" is one element."""
        if not isinstance(name, str):
            raise TypeError("a solution is indexed by name; one of a batch: sol.trajectory(b)")
        for tensors in (self.states, self.outputs):
            if name in tensors:
                return tensors[name]
        raise UnknownName(unknown_name(name, self.keys()))

    def __contains__(self, name: object) -> bool:
        return name in self.states or name in self.outputs

    def keys(self) -> list[str]:
        """Names of states and outputs."""
        return [*self.states, *self.outputs]

    def __len__(self) -> int:
        """Number of trajectories."""
        return len(self.statuses)

    def trajectory(self, index: int) -> Solution:
        """One trajectory of a batch, without padding."""
        index = range(len(self))[index]
        rows = slice(0, int(self.lengths[index]))
        times = self.t[index] if self.t.ndim == 2 else self.t

        def cut(tensors: Tensors) -> Tensors:
            flat = tensors.flat[index] if self.batched else tensors.flat
            return Tensors(flat[rows], tensors.layout)

        return Solution(
            t=times[rows],
            states=cut(self.states),
            outputs=cut(self.outputs),
            lengths=self.lengths[index : index + 1],
            batched=False,
            statuses=self.statuses[index : index + 1],
            stats=self.stats_each[index : index + 1],
            grids=self.grids[index : index + 1],
            options=self.options,
            timing=self.timing,
            model_name=self.model_name,
        )

    def plot(self, names: Sequence[str] | str | None = None, *, ax: Any = None) -> Any:
        """Draws values over time with matplotlib and returns the axes.

        Parameters
        ----------
        names
            States and outputs, or elements of them. Default: the outputs if there are any, else
            the states.
        ax
            Axes to draw into. Default: new ones.
        """
        from costate._plot import plot_solution

        return plot_solution(self, names, ax=ax)

    def _summary(self) -> list[tuple[str, str]]:
        size = f"{len(self)} trajectories x " if self.batched else ""
        method = str(self.options.get("method", ""))
        rows = [
            ("states", ", ".join(self.states) or "left out"),
            ("outputs", ", ".join(self.outputs) or "none"),
            ("saved", f"{size}{self.t.shape[-1]} times{_span(self.t)}"),
            ("status", _batch_status(self.statuses)),
            ("cost", f"{method}: {self.stats}"),
        ]
        return rows

    def __repr__(self) -> str:
        lines = [f"  {name:<8}{text}" for name, text in self._summary()]
        return "<costate.Solution\n" + "\n".join(lines) + ">"

    def _repr_html_(self) -> str:
        return table_html("Solution", self._summary())


def _span(t: FloatArray) -> str:
    if t.size == 0 or np.all(np.isnan(t)):
        return ""
    return f", t from {np.nanmin(t):g} to {np.nanmax(t):g}"


def _batch_status(statuses: Sequence[Status]) -> str:
    if len(statuses) == 1:
        return str(statuses[0])
    early = sum(not status for status in statuses)
    if not early:
        return "all reached the end"
    first = worst(statuses)
    return f"{early} of {len(statuses)} ended early; trajectory {first.trajectory}: {first}"


def table_html(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """A small table for notebooks."""
    body = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
        for name, text in rows
    )
    return f"<table><caption>{html.escape(title)}</caption>{body}</table>"


def solution_from_proto(response: Any) -> Solution:
    """Converts a SolveResponse."""
    starts = np.array(response.row_start, dtype=np.int64)
    lengths = np.diff(starts)
    batched = bool(response.batched)
    times = from_proto(response.times).reshape(-1)

    def tensors(message: Any, layouts: Any) -> Tensors:
        layout = Layout.from_proto(layouts)
        rows = from_proto(message).reshape(-1, layout.size) if layout.size else None
        if rows is None or rows.shape[0] != times.size:  # Left out on request.
            rows, layout = np.empty((times.size, 0)), Layout(())
        return Tensors(_rows_to_batch(rows, lengths, batched), layout)

    return Solution(
        t=_common_times(_rows_to_batch(times, lengths, batched)),
        states=tensors(response.states, response.state_layout),
        outputs=tensors(response.outputs, response.output_layout),
        lengths=lengths,
        batched=batched,
        statuses=statuses_from_proto(response.terminations),
        stats=[solve_stats_from_proto(s) for s in response.stats],
        grids=[from_proto(grid.times) for grid in response.grids],
        options=options_from_proto(response.options),
        timing=timing_from_proto(response.timing),
        model_name=response.model,
    )


def _rows_to_batch(rows: FloatArray, lengths: Any, batched: bool) -> FloatArray:
    """Splits [rows, ...] by trajectory into [B, K, ...], NaN where one has fewer rows."""
    if not batched:
        return rows
    longest = int(lengths.max(initial=0))
    if np.all(lengths == longest):
        return rows.reshape(len(lengths), longest, *rows.shape[1:])
    padded = np.full((len(lengths), longest, *rows.shape[1:]), np.nan)
    padded[np.arange(longest) < lengths[:, None]] = rows
    return padded


def _common_times(times: FloatArray) -> FloatArray:
    """[B, K] to [K] where all rows are the same."""
    if times.ndim == 2 and len(times) and np.all(times == times[0]):
        first: FloatArray = times[0]
        return first
    return times


def solution_of_pass(response: Any, times: Any, states: Any, outputs: Any) -> Solution:
    """The values of one trajectory that an answer with derivatives carries along."""
    t = from_proto(times).reshape(-1)

    def tensors(message: Any, layouts: Any) -> Tensors:
        layout = Layout.from_proto(layouts)
        return Tensors(from_proto(message).reshape(len(t), layout.size), layout)

    return Solution(
        t=t,
        states=tensors(states, response.state_layout),
        outputs=tensors(outputs, response.output_layout),
        lengths=[len(t)],
        batched=False,
        statuses=statuses_from_proto([response.termination]),
        stats=[solve_stats_from_proto(response.stats.solve)],
        grids=[from_proto(response.grid.times)] if response.HasField("grid") else [],
        options=options_from_proto(response.options),
        timing=timing_from_proto(response.timing),
        model_name=response.model,
    )
