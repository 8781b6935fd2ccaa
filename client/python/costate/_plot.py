"""Pictures of solutions and stability regions; the only place that needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from costate._solution import Solution
    from costate._stability import StabilityRegion

_MAX_DRAWN = 200  # trajectories of a batch; more are only ink
_REACH = 4.0  # how far a picture of a region grows for eigenvalues outside, in windows
INK = "#1f3a5f"


def pyplot() -> Any:
    """The module, or what to do where there is none."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError(
            'plot() needs matplotlib: pip install "./client/python[matplotlib]"'
        ) from None
    return plt


def _axes(ax: Any) -> Any:
    plt = pyplot()
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def plot_solution(
    solution: Solution, names: Sequence[str] | str | None = None, *, ax: Any = None
) -> Any:
    """See `Solution.plot`."""
    ax = _axes(ax)
    if names is None:
        names = list(solution.outputs) or list(solution.states)
    for name in [names] if isinstance(names, str) else names:
        _plot_one(ax, solution, name)
    ax.set_xlabel("t")
    ax.legend()
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _plot_one(ax: Any, solution: Solution, name: str) -> None:
    values = solution[name]
    batch_axes = 2 if solution.batched else 1
    for index in np.ndindex(*values.shape[batch_axes:]):
        label = name + (f"[{','.join(map(str, index))}]" if index else "")
        lines = values[(..., *index)]
        if not solution.batched:
            ax.plot(solution.t, lines, label=label)
            continue
        shown = np.unique(np.linspace(0, len(lines) - 1, _MAX_DRAWN).astype(int))
        (first,) = ax.plot([], [], label=label)
        for b in shown:
            t = solution.t[b] if solution.t.ndim == 2 else solution.t
            ax.plot(t, lines[b], color=first.get_color(), alpha=0.4, linewidth=0.8)


def plot_region(region: StabilityRegion, over: Any = None, *, ax: Any = None) -> Any:
    """See `StabilityRegion.plot`."""
    ax = _axes(ax)
    for draw in (ax.axhline, ax.axvline):
        draw(0.0, color="0.8", linewidth=0.8, zorder=0)
    if region.order_star:
        _fill_order_star(ax, region)
    else:
        _fill_region(ax, region)
    for line in region.boundary:
        ax.plot(line.real, line.imag, color=INK, linewidth=1.4, zorder=2)
    left, right, low, high = region.window
    ax.set(xlim=(left, right), ylim=(low, high), aspect="equal")
    if over is not None:
        _draw_over(ax, region, over)
    ax.set_xlabel("Re z")
    ax.set_ylabel("Im z")
    ax.set_title(("order star of " if region.order_star else "") + region.label, fontsize="medium")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _fill_region(ax: Any, region: StabilityRegion) -> None:
    """Fills what the closed curves enclose, darker where a step damps more."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    closed = [line for line in region.boundary if len(line) > 2 and line[0] == line[-1]]
    if not closed:
        return
    loops = [Path(np.column_stack([line.real, line.imag]), closed=True) for line in closed]
    patch = PathPatch(Path.make_compound_path(*loops), facecolor="#dbe8f6", edgecolor="none")
    patch.set_zorder(0.5)
    ax.add_patch(patch)
    if region.radius is None:
        return
    shades = ax.contourf(
        region.real,
        region.imag,
        region.radius,
        levels=np.linspace(0.0, 1.0, 6),
        colors=["#7fa8d6", "#98b9df", "#b0c9e7", "#c7d9ee", "#dbe8f6"],
        zorder=1,
    )
    # A set of artists before matplotlib 3.8.
    for part in getattr(shades, "collections", None) or [shades]:
        part.set_clip_path(patch)


def _fill_order_star(ax: Any, region: StabilityRegion) -> None:
    if region.radius is not None:
        level = np.nan_to_num(region.radius, nan=np.inf, posinf=1e300)
        ax.contourf(
            region.real, region.imag, level, levels=[0.0, 1.0], colors=["#dbe8f6"], zorder=0.5
        )


def _draw_over(ax: Any, region: StabilityRegion, over: Any) -> None:
    """Draws points z, those of a `Stability` coloured by time."""
    times = getattr(over, "times", None)
    z = np.asarray(over.z if times is not None else over, dtype=np.complex128)
    colour = INK if times is None else np.repeat(times, z.shape[1])
    z = z.ravel()
    known = np.isfinite(z)
    if times is not None:
        colour = colour[known]
    z = z[known]
    if not z.size:
        return
    marks = ax.scatter(
        z.real,
        z.imag,
        c=colour,
        cmap=None if times is None else "plasma",
        s=16,
        linewidths=0.4,
        edgecolors="k",
        zorder=3,
    )
    if times is not None:
        ax.figure.colorbar(marks, ax=ax, label="t", shrink=0.7)
    limits = _limits(region.window, z)
    ax.set(xlim=limits[:2], ylim=limits[2:])
    beyond = np.count_nonzero(
        (z.real < limits[0]) | (z.real > limits[1]) | (z.imag < limits[2]) | (z.imag > limits[3])
    )
    if beyond:
        ax.text(
            0.02,
            0.98,
            f"{beyond} of {z.size} beyond; the farthest at |z| = {np.abs(z).max():.3g}",
            transform=ax.transAxes,
            fontsize="small",
            va="top",
        )


def _limits(window: Sequence[float], z: Any) -> list[float]:
    """The window, grown for points outside, but not out of all proportion."""
    found: list[float] = []
    for low, high, part in (
        (window[0], window[1], z.real),
        (window[2], window[3], z.imag),
    ):
        size = high - low
        margin = 0.05 * size
        found.append(max(min(low, part.min() - margin), low - _REACH * size))
        found.append(min(max(high, part.max() + margin), high + _REACH * size))
    return found
