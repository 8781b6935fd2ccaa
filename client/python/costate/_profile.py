"""Profile likelihoods: how well a fit can do for other values of one parameter."""

from __future__ import annotations

import dataclasses
import html
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from costate._arrays import FloatArray, from_proto
from costate._names import unknown_name
from costate._report import align, grid_html
from costate.errors import UnknownName


@dataclasses.dataclass(frozen=True, eq=False)
class Profile:
    """Of one free element.

    Attributes
    ----------
    name
        As in `FitResult.names`.
    values
        [P] of the element, ascending, the best one among them.
    objectives
        [P] the best that the others can make of it.
    points
        [P, free] where they do.
    interval
        Where the likelihood ratio passes the quantile of chi squared with one degree of freedom;
        infinite on a side where it does not before the bound or the last point.
    verdict
        One sentence: bounded, open to one side or both.
    """

    name: str
    values: FloatArray
    objectives: FloatArray
    points: FloatArray
    interval: tuple[float, float]
    verdict: str

    @property
    def best(self) -> float:
        """The value with the least objective."""
        return float(self.values[np.argmin(self.objectives)]) if self.values.size else math.nan

    def __repr__(self) -> str:
        lower, upper = self.interval
        return f"<costate.Profile {self.name} = {self.best:.6g} in {lower:.6g} .. {upper:.6g}>"


class ProfileResult(Mapping[str, Profile]):
    """Profiles by name; ``print`` it, or show it in a notebook.

    Attributes
    ----------
    confidence
        Of the intervals.
    """

    def __init__(self, message: Any, request: Any) -> None:
        self.confidence: float = request.confidence if request.HasField("confidence") else 0.95
        self._profiles = {entry.name: _profile(entry) for entry in message.profiles}

    def __getitem__(self, name: str) -> Profile:
        if name not in self._profiles:
            raise UnknownName(unknown_name(name, self._profiles))
        return self._profiles[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._profiles)

    def __len__(self) -> int:
        return len(self._profiles)

    @property
    def threshold(self) -> float:
        """By how much the objective may exceed its least inside of an interval."""
        quantile = statistics.NormalDist().inv_cdf((1 + self.confidence) / 2)
        return quantile * quantile / 2

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain dicts and arrays."""
        return {
            "confidence": self.confidence,
            "profiles": [dict(vars(profile)) for profile in self.values()],
        }

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        header = ["", "best", f"{100 * self.confidence:g} % interval", "verdict"]
        rows = [
            [
                p.name,
                f"{p.best:.6g}",
                f"{p.interval[0]:.5g} .. {p.interval[1]:.5g}",
                p.verdict,
            ]
            for p in self.values()
        ]
        return header, rows

    def table(self) -> str:
        """The intervals as text."""
        header, rows = self._rows()
        lines = align([row[:-1] for row in [header, *rows]])
        return "\n".join([lines[0], *(f"{line}  {r[-1]}" for line, r in zip(lines[1:], rows))])

    def __str__(self) -> str:
        return "Profile likelihoods\n\n" + self.table()

    def __repr__(self) -> str:
        return f"<costate.ProfileResult of {', '.join(self) or 'nothing'}>"

    def _repr_html_(self) -> str:
        header, rows = self._rows()
        return f"<p><b>{html.escape('Profile likelihoods')}</b></p>{grid_html(header, rows)}"

    def plot(self, names: Sequence[str] | str | None = None, *, axes: Any = None) -> Any:
        """Draws the profiles with the threshold of their intervals; needs matplotlib.

        Parameters
        ----------
        names
            Which. Default: all.
        axes
            Axes to draw into, one for each. Default: those of a new figure.
        """
        from costate._fit_plot import plot_profiles

        return plot_profiles(self, names, axes=axes)


def _profile(entry: Any) -> Profile:
    values = from_proto(entry.values).reshape(-1)
    return Profile(
        name=entry.name,
        values=values,
        objectives=from_proto(entry.objectives).reshape(-1),
        points=from_proto(entry.points).reshape(len(values), -1),
        interval=(entry.interval_lower, entry.interval_upper),
        verdict=entry.verdict,
    )
