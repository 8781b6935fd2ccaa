"""Products with Hessians, and methods compared, as calls return them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from costate._arrays import FloatArray, Layout, from_proto
from costate._derivatives import Derivative, brief
from costate._names import unknown_name
from costate._options import GRADIENT_METHODS
from costate._report import align, grid_html
from costate._results import GradientStats, Status, gradient_stats_from_proto, statuses_from_proto
from costate.errors import UnknownName


class Hvp(Derivative):
    """Products of V vectors with the Hessian of a loss; NaN where the solve ended early.

    Attributes
    ----------
    products
        [V, q]. ``h["b"]`` is the part of one name: [V] + shape.
    value
        The loss, of the same pass.
    vector
        [q] its gradient, of the same pass.
    status, stats
        Of the one pass.
    """

    def __init__(self, response: Any) -> None:
        super().__init__(response)
        self.products: FloatArray = from_proto(response.products).reshape(-1, self.layout.size)
        self.value = float(response.loss)
        self.vector: FloatArray = from_proto(response.gradient).reshape(-1)
        self.status = statuses_from_proto([response.termination])[0]
        self.stats = gradient_stats_from_proto(response.stats)

    @property
    def success(self) -> bool:
        """Whether the solve reached its end."""
        return self.status.success

    def __getitem__(self, name: str) -> FloatArray:
        """Products in one name: [V] + shape."""
        return self.layout.pick(self.products, name)

    def __len__(self) -> int:
        """Number of vectors."""
        return len(self.products)

    def _summary(self) -> list[tuple[str, str]]:
        return [
            ("value", f"{self.value:.10g}"),
            ("products", f"{len(self)} by {', '.join(self.wrt)}"),
            ("gradient", brief(self.vector)),
            ("status", str(self.status)),
            ("cost", str(self.stats)),
        ]


class CheckedMethod:
    """What one method of a `GradientCheck` found.

    Attributes
    ----------
    method
        "backprop", for example.
    value
        The loss.
    vector
        [q] gradient; ``row["b"]`` is the part of one name.
    relative_difference
        From the first method, over the norm of the first, both scaled by the parameters.
    time_gradient, time_relative_difference
        [K] derivative of the loss by the times it looks at, and its difference from that of the
        first method over the norm of the first, where `time_gradient` asked for it; else None.
    cost_in_solves
        In plain solves of the same problem.
    status, stats
        Of its solve.
    """

    def __init__(self, message: Any, layout: Layout) -> None:
        self._layout = layout
        self.method = GRADIENT_METHODS.name(message.method)
        self.value = float(message.loss)
        self.vector: FloatArray = from_proto(message.gradient).reshape(-1)
        self.relative_difference = float(message.relative_difference)
        self.time_gradient: FloatArray | None = None
        self.time_relative_difference: float | None = None
        if message.HasField("time_gradient"):
            self.time_gradient = from_proto(message.time_gradient).reshape(-1)
            self.time_relative_difference = float(message.time_relative_difference)
        self.cost_in_solves = float(message.cost_in_solves)
        self.status: Status = statuses_from_proto([message.termination])[0]
        self.stats: GradientStats = gradient_stats_from_proto(message.stats)

    def __getitem__(self, name: str) -> FloatArray:
        """Derivative with respect to one name."""
        return self._layout.pick(self.vector, name)

    @property
    def differences(self) -> tuple[float, ...]:
        """From the first method: of the gradient and, where it was asked for, of that by times."""
        if self.time_relative_difference is None:
            return (self.relative_difference,)
        return self.relative_difference, self.time_relative_difference

    def __repr__(self) -> str:
        return (
            f"<costate.CheckedMethod {self.method}: value {self.value:.10g}, "
            f"difference {self.relative_difference:.2g}, {self.cost_in_solves:.3g} solves>"
        )


class GradientCheck(Derivative):
    """Several gradient methods on one problem; print it, or show it in a notebook.

    ``check["backprop"]`` is one method's `CheckedMethod`; iterating goes over all of them, in the
    order asked for. The first is what the others are compared with.
    """

    def __init__(self, response: Any) -> None:
        super().__init__(response)
        self.rows = tuple(CheckedMethod(row, self.layout) for row in response.rows)

    @property
    def _by_times(self) -> bool:
        return any(row.time_gradient is not None for row in self.rows)

    @property
    def methods(self) -> tuple[str, ...]:
        """Names, in order."""
        return tuple(row.method for row in self.rows)

    @property
    def largest_difference(self) -> float:
        """Of all methods from the first; NaN where one failed."""
        differences = [value for row in self.rows[1:] for value in row.differences]
        failed = any(difference != difference for difference in differences)
        return float("nan") if failed else max(differences, default=0.0)

    def __getitem__(self, method: str) -> CheckedMethod:
        for row in self.rows:
            if row.method == method:
                return row
        raise UnknownName(unknown_name(method, self.methods))

    def __iter__(self) -> Iterator[CheckedMethod]:
        return iter(self.rows)

    def __len__(self) -> int:
        """Number of methods."""
        return len(self.rows)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        shown = self.layout.element_names()[:4]
        more = ["..."] if self.layout.size > len(shown) else []
        header = ["method", "loss", *(f"d/d {name}" for name in shown), *more]
        header += ["difference", *(["by times"] if self._by_times else [])]
        header += ["in solves", "stored bytes"]
        rows = [
            [
                row.method,
                f"{row.value:.10g}",
                *(f"{value:.8g}" for value in row.vector[: len(shown)]),
                *more,
                *("" if index == 0 else f"{value:.1e}" for value in row.differences),
                f"{row.cost_in_solves:.3g}",
                f"{row.stats.peak_stored_bytes:,}",
            ]
            for index, row in enumerate(self.rows)
        ]
        return header, rows

    def _summary(self) -> list[tuple[str, str]]:
        return [(row.method, f"{row.relative_difference:.1e}") for row in self.rows]

    def __str__(self) -> str:
        header, rows = self._table()
        early = [f"  {row.method}: {row.status}" for row in self.rows if not row.status]
        return "\n".join(["Gradient methods compared", *align([header, *rows]), *early])

    def __repr__(self) -> str:
        return f"<costate.{self}>"

    def _repr_html_(self) -> str:
        return grid_html(*self._table())
