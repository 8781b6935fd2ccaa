"""Pictures of solutions; the only place that needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from costate._solution import Solution

_MAX_DRAWN = 200  # trajectories of a batch; more are only ink


def plot_solution(
    solution: Solution, names: Sequence[str] | str | None = None, *, ax: Any = None
) -> Any:
    """See `Solution.plot`."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError(
            'plot() needs matplotlib: pip install "./client/python[matplotlib]"'
        ) from None
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
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
