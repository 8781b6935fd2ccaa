"""How far a gradient can be trusted: figures, a verdict, and what to do about it."""

from __future__ import annotations

import dataclasses
import html
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from costate import _proto
from costate._arrays import FloatArray, Layout, Tensors, from_proto
from costate._options import GRADIENT_METHODS

_VERDICTS = {
    number: name[len("VERDICT_") :].lower()
    for name, number in _proto.enum_of_message("GradientReport", "Verdict").items()
}
_WIDTH = 96
_MAX_ROWS = 12
# Backgrounds of verdicts in notebooks, readable on light and dark pages.
_COLORS = {
    "good": "#2d6a4f",
    "rough": "#9a6700",
    "stability_limited": "#9a6700",
    "data_at_solver_noise": "#9a6700",
    "unknown": "#57606a",
}
_BAD_COLOR = "#b02a37"


@dataclasses.dataclass(frozen=True)
class Check:
    """A check that was made.

    Attributes
    ----------
    name
        "noise_floor", for example.
    cost_in_solves
        What it took, in plain solves of the same problem.
    """

    name: str
    cost_in_solves: float


class GradientReport:
    """A statement of trust that comes with a gradient.

    Figures that were not asked for, or have no meaning, are NaN. ``print(report)`` shows all that
    are there; a notebook shows a table.

    Attributes
    ----------
    verdict
        "good", "rough" (a direction only), "stability_limited", "data_at_solver_noise",
        "indistinguishable_from_zero", "uncontrolled" (the error of the derivatives was not under
        control), "tolerance_too_loose", "chaotic", "failed", or "unknown" where nothing bad was
        seen but nothing measured the error either.
    summary
        One sentence with the figures that decided.
    advice
        What to do, most useful first; empty when good.
    error
        Absolute error of the gradient by name: ``report.error["b"]`` has the shape of b.
    digits
        Correct digits by name, -log10(error / |gradient|).
    error_measured
        Whether refinement or a second method measured the error; else it is an order of magnitude.
    noise_floor, plain_difference
        The part of the error that comes from errors of the saved values, and what the gradient
        owes to its own choice of steps; by name.
    scaled_norm, scaled_error
        Of p * gradient and p * error over all columns, p being the values of the columns.
    cosine_uncertainty
        Their ratio: how uncertain the direction is.
    loss, plain_loss, same_steps
        Of the gradient's own pass and of a plain solve; whether both took the same steps.
    residual_norm, saved_error_norm
        Of least squares: the weighted residual, and the solver's error of what was observed.
    tangent_error_max, tangent_error_quantile90, tangent_error_share_above_one
        Embedded error of the tangents over its own tolerance.
    tangents_controlled, tangents_are_probes
        Whether tangents took part in the choice of steps, and whether they were random
        directions instead of the columns (methods in reverse have no others).
    stiffness_share
        Share of steps near the method's limit of stability.
    refinement_difference, second_method_difference
        Differences from the gradient at a tenth of the tolerance, and from `second_method`; by
        name.
    second_method
        Its name; empty if none.
    directional_derivative, directional_difference, directional_noise
        v'g, the difference quotient along v, and what noise makes of the latter.
    growth, lyapunov
        Largest singular value of dy(t1)/dy(t0), and its logarithm per unit of time.
    transient, transient_time
        Largest |p_j dy/dp_j| / |y| at a saved time, and that time.
    reconstruction_error
        Of states solved backwards, in tolerances.
    linear_range
        Relative change of the columns up to which the gradient holds.
    checks
        The checks that were made, with their cost.
    """

    verdict: str
    summary: str
    advice: tuple[str, ...]
    error_measured: bool
    scaled_norm: float
    scaled_error: float
    cosine_uncertainty: float
    loss: float
    plain_loss: float
    same_steps: bool
    residual_norm: float
    saved_error_norm: float
    tangent_error_max: float
    tangent_error_quantile90: float
    tangent_error_share_above_one: float
    tangents_controlled: bool
    tangents_are_probes: bool
    stiffness_share: float
    directional_derivative: float
    directional_difference: float
    directional_noise: float
    growth: float
    lyapunov: float
    transient: float
    transient_time: float
    reconstruction_error: float
    linear_range: float

    def __init__(self, message: Any, layout: Layout, gradient: FloatArray) -> None:
        self._gradient = gradient
        self._layout = layout
        for name in _SCALARS:
            setattr(self, name, getattr(message, name))
        self.verdict = _VERDICTS.get(message.verdict, str(message.verdict))
        self.advice = tuple(message.advice)
        self.error = self._named(message.abs_error)
        self.digits = self._named(message.digits)
        self.noise_floor = self._named(message.noise_floor)
        self.plain_difference = self._named(message.plain_difference)
        self.refinement_difference = self._named(message.refinement_difference)
        self.second_method_difference = self._named(message.second_method_difference)
        self.second_method = (
            GRADIENT_METHODS.name(message.second_method) if message.second_method else ""
        )
        self.checks = tuple(Check(check.name, check.cost_in_solves) for check in message.checks)

    def _named(self, message: Any) -> Tensors:
        flat = from_proto(message).reshape(-1)
        if flat.size != self._layout.size:  # Not computed.
            flat = np.full(self._layout.size, np.nan)
        return Tensors(flat, self._layout)

    @property
    def good(self) -> bool:
        """Whether the verdict is "good"."""
        return self.verdict == "good"

    @property
    def cost_in_solves(self) -> float:
        """What all checks took, in plain solves of the same problem."""
        return sum(check.cost_in_solves for check in self.checks)

    def headline(self) -> str:
        """Verdict and summary in one line."""
        verdict, summary = _spoken(self.verdict), self.summary
        if summary.partition(":")[0].isupper():  # It names the verdict itself.
            return summary
        if summary.lower().startswith(verdict.lower()):
            return verdict + summary[len(verdict) :]
        return f"{verdict}: {summary}" if summary else verdict

    # Rows of the table by element: the first of few, else those with the fewest digits.
    def _elements(self) -> tuple[list[list[str]], str]:
        names = self._layout.element_names()
        order, note = list(range(len(names))), ""
        if len(names) > _MAX_ROWS:
            digits = np.nan_to_num(self.digits.flat, nan=np.inf)
            order = [int(index) for index in np.argsort(digits, kind="stable")[:_MAX_ROWS]]
            known = bool(np.any(np.isfinite(self.digits.flat)))
            which = "with the fewest digits" if known else "that come first"
            note = f"{_MAX_ROWS} of {len(names)} elements, those {which}"
        columns = [self._gradient, self.error.flat, self.digits.flat, self.noise_floor.flat]
        formats = ["{:.9g}", "{:.1e}", "{:.1f}", "{:.1e}"]
        rows = [
            [names[i], *(_figure(column[i], text) for column, text in zip(columns, formats))]
            for i in order
        ]
        return rows, note

    def _figures(self) -> list[tuple[str, str]]:
        """What is known beside the elements, a line each."""
        rows = [
            ("in parameter units", self._scaled_line()),
            ("loss", self._loss_line()),
            ("data", self._data_line()),
            ("tangents", self._tangent_line()),
            ("stiffness", _share(self.stiffness_share, "of steps near the limit of stability")),
            ("refinement", self._norm_line(self.refinement_difference, "a tenth of the tolerance")),
            ("second method", self._norm_line(self.second_method_difference, self.second_method)),
            ("along a direction", self._direction_line()),
            ("growth", self._growth_line()),
            ("transient", self._transient_line()),
            ("reconstruction", _known("{:.2g} tolerances", self.reconstruction_error)),
            ("linear range", _known("+- {:.2g} relative", self.linear_range)),
        ]
        if self.checks:
            made = ", ".join(f"{check.name} {check.cost_in_solves:.2g}" for check in self.checks)
            rows.append(("checks, in solves", f"{made}; {self.cost_in_solves:.3g} in all"))
        return [(name, text) for name, text in rows if text]

    def _scaled_line(self) -> str:
        if math.isnan(self.scaled_norm):
            return ""
        if math.isnan(self.scaled_error):
            return f"|p g| = {self.scaled_norm:.4g}"
        kind = "measured" if self.error_measured else "an order of magnitude"
        return (
            f"|p g| = {self.scaled_norm:.4g} +- {self.scaled_error:.2g} ({kind}), "
            f"direction uncertain by {self.cosine_uncertainty:.2g}"
        )

    def _loss_line(self) -> str:
        if math.isnan(self.loss):
            return ""
        text = f"{self.loss:.10g}"
        if math.isnan(self.plain_loss):
            return text
        steps = "same steps" if self.same_steps else "other steps"
        return f"{text}, of a plain solve {self.plain_loss:.10g} ({steps})"

    def _data_line(self) -> str:
        if math.isnan(self.residual_norm):
            return ""
        error = _known(", the solver's error {:.2g}", self.saved_error_norm)
        return f"residual {self.residual_norm:.4g}{error}"

    def _tangent_line(self) -> str:
        if math.isnan(self.tangent_error_max):
            return ""
        kind = "random directions" if self.tangents_are_probes else "all columns"
        control = "controlled" if self.tangents_controlled else "not controlled"
        return (
            f"{kind}, {control}: error over tolerance {self.tangent_error_max:.2g} at most, "
            f"{self.tangent_error_quantile90:.2g} at 90 %, "
            f"above one in {100 * self.tangent_error_share_above_one:.2g} % of steps"
        )

    def _norm_line(self, difference: Tensors, against: str) -> str:
        if np.all(np.isnan(difference.flat)):
            return ""
        largest = float(np.nanmax(difference.flat))
        return f"against {against or 'another'}: at most {largest:.2g}"

    def _direction_line(self) -> str:
        if math.isnan(self.directional_derivative):
            return ""
        return (
            f"gradient {self.directional_derivative:.6g}, "
            f"difference {self.directional_difference:.6g}"
            + _known(" +- {:.2g}", self.directional_noise)
        )

    def _growth_line(self) -> str:
        if math.isnan(self.growth):
            return ""
        return f"{self.growth:.3g} over the span" + _known(", {:.2g} per time", self.lyapunov)

    def _transient_line(self) -> str:
        if math.isnan(self.transient):
            return ""
        return f"{self.transient:.3g} times the state" + _known(" at t = {:g}", self.transient_time)

    def __str__(self) -> str:
        lines = [f"Gradient report: {_spoken(self.verdict)}"]
        lines += textwrap.wrap(self.summary, _WIDTH, initial_indent="  ", subsequent_indent="  ")
        elements, note = self._elements()
        lines += ["", *align([list(_HEADER), *elements])]
        if note:
            lines.append(f"  ({note})")
        lines.append("")
        figures = self._figures()
        width = max((len(name) for name, _ in figures), default=0)
        for name, text in figures:
            lines += textwrap.wrap(
                text,
                _WIDTH,
                initial_indent=f"  {name:<{width}}  ",
                subsequent_indent=" " * (width + 4),
            )
        if self.advice:
            lines += ["", "  What to do"]
            for number, text in enumerate(self.advice, 1):
                lines += textwrap.wrap(
                    text, _WIDTH, initial_indent=f"  {number}. ", subsequent_indent="     "
                )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<costate.GradientReport {self.headline()}>"

    def _repr_html_(self) -> str:
        elements, note = self._elements()
        parts = [
            "<div style='max-width:60em;line-height:1.45'>",
            f"<p><b style='color:#fff;background:{_COLORS.get(self.verdict, _BAD_COLOR)};"
            "padding:2px 8px;border-radius:4px'>"
            f"{html.escape(_spoken(self.verdict))}</b> {html.escape(self.summary)}</p>",
        ]
        if self.advice:
            items = "".join(f"<li>{html.escape(text)}</li>" for text in self.advice)
            parts.append(f"<ol style='margin:0 0 0.8em 0'>{items}</ol>")
        parts.append(grid_html(list(_HEADER), elements))
        if note:
            parts.append(f"<p style='opacity:0.7;margin:0.2em 0'>{html.escape(note)}</p>")
        rows = "".join(
            f"<tr><th style='text-align:left;font-weight:normal;opacity:0.7'>{html.escape(name)}"
            f"</th><td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in self._figures()
        )
        parts.append(f"<table style='margin-top:0.6em'>{rows}</table></div>")
        return "".join(parts)


_HEADER = ("by", "gradient", "error", "digits", "noise floor")
# Members of the message taken over as they are.
_SCALARS = tuple(
    name for name in GradientReport.__annotations__ if name not in ("verdict", "advice")
)


def reports_line(reports: Sequence[GradientReport], of_batch: bool = False) -> str:
    """Verdict and summary of one, counts of many or of a batch."""
    if len(reports) == 1 and not of_batch:
        return reports[0].headline()
    counts: dict[str, int] = {}
    for report in reports:
        counts[report.verdict] = counts.get(report.verdict, 0) + 1
    return ", ".join(f"{count} {_spoken(verdict)}" for verdict, count in counts.items())


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            f"{cell:<{width}}" if c == 0 else f"{cell:>{width}}"
            for c, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]


def grid_html(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same for notebooks."""

    def line(tag: str, cells: Sequence[str]) -> str:
        return "".join(
            f"<{tag} style='text-align:{'left' if c == 0 else 'right'}'>{html.escape(cell)}</{tag}>"
            for c, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{line('th', header)}</tr></thead><tbody>{body}</tbody></table>"


def _spoken(verdict: str) -> str:
    return verdict.replace("_", " ").upper()


def _figure(value: float, text: str) -> str:
    return "?" if math.isnan(value) else text.format(float(value))


def _known(text: str, value: float) -> str:
    return "" if math.isnan(value) else text.format(value)


def _share(value: float, text: str) -> str:
    return "" if math.isnan(value) else f"{100 * value:.2g} % {text}"
