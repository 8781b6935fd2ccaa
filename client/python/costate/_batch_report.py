"""How far the gradients of a batch can be trusted, from reports on some of its trajectories."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from costate._report import GradientReport, reports_line

# The worst first.
_SEVERITY = (
    "failed",
    "chaotic",
    "uncontrolled",
    "tolerance_too_loose",
    "indistinguishable_from_zero",
    "data_at_solver_noise",
    "stability_limited",
    "rough",
    "unknown",
    "good",
)


def _badness(report: GradientReport) -> tuple[int, float]:
    rank = _SEVERITY.index(report.verdict) if report.verdict in _SEVERITY else 0
    uncertainty = report.cosine_uncertainty
    return rank, -uncertainty if uncertainty == uncertainty else 0.0


class BatchReport:
    """Statements of trust on some trajectories of a batch, or on all.

    ``print(report)`` shows the worst one whole and the others in a line each; iterating gives
    pairs of trajectory and `GradientReport`, the worst first.

    Attributes
    ----------
    trajectories
        Those reported on, the worst first.
    reports
        Their reports, in the same order.
    batch_size
        Trajectories of the batch.
    """

    def __init__(self, reports: Sequence[GradientReport | None]) -> None:
        made = [(b, report) for b, report in enumerate(reports) if report is not None]
        made.sort(key=lambda pair: _badness(pair[1]))
        self.trajectories: tuple[int, ...] = tuple(b for b, _ in made)
        self.reports: tuple[GradientReport, ...] = tuple(report for _, report in made)
        self.batch_size = len(reports)

    @property
    def worst(self) -> GradientReport:
        """The report with the worst verdict, and of those the most uncertain gradient."""
        return self.reports[0]

    @property
    def verdict(self) -> str:
        """That of the worst."""
        return self.worst.verdict

    @property
    def good(self) -> bool:
        """Whether all verdicts are "good"."""
        return all(report.good for report in self.reports)

    def __iter__(self) -> Iterator[tuple[int, GradientReport]]:
        return iter(zip(self.trajectories, self.reports))

    def __len__(self) -> int:
        """Number of reports."""
        return len(self.reports)

    def headline(self) -> str:
        """Counts of verdicts, and how many trajectories were looked at, in one line."""
        of = f"{len(self)} of {self.batch_size} trajectories reported on"
        return f"{reports_line(self.reports, of_batch=True)} ({of})"

    def _others(self) -> list[tuple[int, str]]:
        return [(b, report.headline()) for b, report in self if report is not self.worst]

    def __str__(self) -> str:
        lines = [f"Gradient reports: {self.headline()}"]
        if len(self) > 1:
            lines.append(f"The worst, of trajectory {self.trajectories[0]}:")
        lines += ["", str(self.worst)]
        others = self._others()
        if others:
            lines += ["", "The others"]
            lines += [f"  {b}: {headline}" for b, headline in others]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<costate.BatchReport {self.headline()}>"

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{b}: {html.escape(text)}</li>" for b, text in self._others())
        others = f"<p>The others, by trajectory</p><ul>{items}</ul>" if items else ""
        return (
            f"<p>{html.escape(self.headline())}. Trajectory {self.trajectories[0]}:</p>"
            f"{self.worst._repr_html_()}{others}"
        )
