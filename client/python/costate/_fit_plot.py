"""Pictures of fits and profiles; needs matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from costate._arrays import FloatArray
from costate._names import unknown_name
from costate._plot import INK, pyplot
from costate.errors import UnknownName

if TYPE_CHECKING:
    from costate._fit_result import FitResult, FittedSeries
    from costate._profile import Profile, ProfileResult

# Okabe and Ito: told apart by all kinds of eyes. Black is for what is drawn over them.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C6BB1", "#5B5B5B")
_GREY = "#9AA3AB"
_AT_BEST = 0.1  # As FitResult.starts_at_best.
_UNLIKE = 10.0  # Channels whose sizes differ by more get panels of their own.
_MAX_PANELS = 24
_MAX_LINES = 200


def _bare(ax: Any) -> None:
    ax.spines[["top", "right"]].set_visible(False)


def _one(ax: Any) -> Any:
    return pyplot().subplots(layout="constrained")[1] if ax is None else ax


# Data and model


def plot_fit(
    result: FitResult,
    names: Sequence[str] | str | None,
    *,
    axes: Any,
    labels: Mapping[str, str] | None,
    time_label: str,
) -> Any:
    """See `FitResult.plot_fit`."""
    series = _chosen(result, names)
    colours = _colours(series)
    panels = _panels(series)
    if axes is not None:
        if len({one.condition for one in series}) > 1:
            raise ValueError("several conditions do not fit into one axes")
        _draw_panel(axes, result, series, colours, labels or {})
        axes.set_xlabel(time_label)
        return np.array([[axes]], dtype=object)
    shown = panels[:_MAX_PANELS]
    columns = min(len(shown), 3)
    lines = -(-len(shown) // columns)
    figure, grid = pyplot().subplots(
        2 * lines,
        columns,
        figsize=(max(6.4, 4.4 * columns), 4.3 * lines),
        height_ratios=[3, 1] * lines,
        squeeze=False,
        layout="constrained",
    )
    several = len(result.trajectories) > 1
    for number in range(lines * columns):
        line, column = divmod(number, columns)
        above, below = grid[2 * line, column], grid[2 * line + 1, column]
        if number >= len(shown):
            above.set_visible(False)
            below.set_visible(False)
            continue
        condition, members = shown[number]
        _draw_panel(above, result, members, colours, labels or {})
        _draw_residuals(below, members, colours)
        below.sharex(above)
        above.tick_params(labelbottom=False)
        below.set_xlabel(time_label)
        below.set_ylabel(r"residual / $\sigma$" if column == 0 else "")
        if several:
            above.set_title(condition, fontsize="medium", loc="left")
    if len(panels) > len(shown):
        figure.suptitle(f"{len(shown)} of {len(panels)} panels", fontsize="medium")
    figure.align_ylabels()
    return grid


def _chosen(result: FitResult, names: Sequence[str] | str | None) -> list[FittedSeries]:
    known = list(dict.fromkeys(one.channel for one in result.series))
    wanted = known if names is None else [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in known:
            raise UnknownName(unknown_name(name, known))
    return [one for one in result.series if one.channel in wanted]


def _colours(series: Sequence[FittedSeries]) -> dict[str, str]:
    channels = dict.fromkeys(one.channel for one in series)
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(channels)}


def _size(series: FittedSeries) -> float:
    values = np.abs(np.concatenate([series.values, series.fitted]))
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size and finite.max() > 0 else 1.0


def _panels(series: Sequence[FittedSeries]) -> list[tuple[str, list[FittedSeries]]]:
    """Series of one condition whose sizes are alike share a panel."""
    panels: list[tuple[str, list[FittedSeries]]] = []
    for one in series:
        for condition, members in panels:
            sizes = [_size(member) for member in [*members, one]]
            if condition == one.condition and max(sizes) <= _UNLIKE * min(sizes):
                members.append(one)
                break
        else:
            panels.append((one.condition, [one]))
    return panels


def _draw_panel(
    ax: Any,
    result: FitResult,
    members: Sequence[FittedSeries],
    colours: Mapping[str, str],
    labels: Mapping[str, str],
) -> None:
    for one in members:
        colour = colours[one.channel]
        _draw_model(ax, result, one, colour)
        lower, upper = _error_bars(one)
        ax.errorbar(
            one.t,
            one.values,
            yerr=[lower, upper],
            fmt="o",
            color=colour,
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            elinewidth=1.0,
            capsize=0,
            label=labels.get(one.channel, one.channel),
            zorder=3,
        )
    channels = list(dict.fromkeys(one.channel for one in members))
    if len(channels) == 1:
        ax.set_ylabel(labels.get(channels[0], channels[0]))
    else:
        handles, names = ax.get_legend_handles_labels()
        first = dict(zip(reversed(names), reversed(handles)))
        ax.legend([first[name] for name in reversed(first)], list(reversed(first)), frameon=False)
    ax.xaxis.get_major_locator().set_params(steps=[1, 2, 5, 10])
    if all(np.nanmin(one.values, initial=0) >= 0 for one in members):
        ax.set_ylim(bottom=0)
    _bare(ax)


def _draw_model(ax: Any, result: FitResult, series: FittedSeries, colour: str) -> None:
    trajectory = result.trajectories.get(series.condition)
    if trajectory is None and len(result.trajectories) == 1:
        trajectory = next(iter(result.trajectories.values()))
    tensors = None
    if trajectory is not None:
        tensors = trajectory.states if series.is_state else trajectory.outputs
    if trajectory is not None and tensors is not None and series.channel in tensors:
        t, values = trajectory.t, series.scale * tensors[series.channel] + series.offset
    else:
        order = np.argsort(series.t)
        t, values = series.t[order], series.fitted[order]
    ax.plot(t, values, color=colour, linewidth=1.8, zorder=2)


def _error_bars(series: FittedSeries) -> tuple[FloatArray, FloatArray]:
    if series.logarithmic:
        return (
            series.values * -np.expm1(-series.sigma),
            series.values * np.expm1(series.sigma),
        )
    return series.sigma, series.sigma


def _draw_residuals(ax: Any, members: Sequence[FittedSeries], colours: Mapping[str, str]) -> None:
    ax.axhspan(-2, 2, color="#EEF1F4", linewidth=0, zorder=0)
    ax.axhline(0, color=_GREY, linewidth=0.8, zorder=1)
    for one in members:
        colour = colours[one.channel]
        ax.vlines(one.t, 0, one.residuals, color=colour, linewidth=1.0, alpha=0.6)
        ax.plot(one.t, one.residuals, "o", color=colour, markersize=3.5)
    largest = max(float(np.nanmax(np.abs(one.residuals), initial=0)) for one in members)
    if math.isfinite(largest):
        ax.set_ylim(-1.1 * max(largest, 2.5), 1.1 * max(largest, 2.5))
    _bare(ax)


# Starts


def _excess(result: FitResult) -> FloatArray:
    """Objectives above the best one, of all starts in their order."""
    objectives = np.array([start.objective for start in result.starts])
    with np.errstate(invalid="ignore"):
        return objectives - result.objective


def plot_waterfall(result: FitResult, *, ax: Any = None) -> Any:
    """See `FitResult.plot_waterfall`."""
    ax = _one(ax)
    excess = _excess(result)
    finite = excess[np.isfinite(excess)]
    rank = np.arange(1, len(finite) + 1)
    plateaus = _plateaus(finite)
    few = len(excess) <= 150
    ax.plot(rank, finite, color="0.8", linewidth=1, zorder=1)
    coloured = 0
    for members in plateaus:
        colour, label = _GREY, None
        if members[0] == 0:
            colour = COLOURS[0]
            count = len(members)
            label = f"{count} of {len(excess)} at the best, {result.objective:.6g}"
        elif len(members) > 1:
            coloured += 1
            if coloured < len(COLOURS):
                colour = COLOURS[coloured]
                label = f"{len(members)} at +{finite[members[0]]:.3g}" if coloured < 5 else None
        ax.plot(
            rank[members],
            finite[members],
            "o",
            color=colour,
            markersize=5 if few else 3.5,
            markeredgecolor="white" if few else colour,
            markeredgewidth=0.4,
            label=label,
            zorder=2,
            clip_on=False,
        )
    _excess_axis(ax, finite)
    lost = len(excess) - len(finite)
    if lost:
        ax.plot([], [], " ", label=f"{lost} without a finite objective")
    ax.set_xlim(0.5, max(len(excess), 1) + 0.5)
    ax.set_xlabel("start, by final objective")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(frameon=False, loc="upper left")
    _bare(ax)
    return ax


def _plateaus(sorted_values: FloatArray) -> list[list[int]]:
    """Consecutive values that agree with the first of their plateau."""
    found: list[list[int]] = []
    for index, value in enumerate(sorted_values):
        if found and value - sorted_values[found[-1][0]] <= _AT_BEST:
            found[-1].append(index)
        else:
            found.append([index])
    return found


def _excess_axis(ax: Any, values: FloatArray) -> None:
    largest = float(values.max(initial=0.0))
    if largest > 10:
        ax.set_yscale("symlog", linthresh=1.0, linscale=0.6)
        top = 10.0 ** math.ceil(math.log10(1.2 * largest))
        ticks = [0.0, *(10.0**k for k in _decades(0, math.log10(top)))]
        ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
        ax.set_ylim(-0.15, top)
    else:
        ax.set_ylim(-0.04 * max(largest, 1.0), 1.1 * max(largest, 1.0))
    ax.set_ylabel("objective above the best")


def _decades(first: float, last: float) -> list[int]:
    low, high = math.floor(first), math.ceil(last)
    return list(range(low, high + 1, max(1, (high - low) // 6)))


def plot_trace(result: FitResult, *, ax: Any = None) -> Any:
    """See `FitResult.plot_trace`."""
    ax = _one(ax)
    floor = 1e-9 * max(1.0, abs(result.objective))
    top = floor
    starts = [start for start in result.starts if np.any(np.isfinite(start.trace))]
    for start in reversed(starts[:_MAX_LINES]):
        with np.errstate(invalid="ignore"):
            excess = np.maximum(start.trace - result.objective, floor)
        excess[~np.isfinite(excess)] = np.nan
        top = max(top, float(np.nanmax(excess)))
        at_best = start.objective - result.objective <= _AT_BEST
        best = start is result.starts[0]
        ax.plot(
            np.arange(len(excess)),
            excess,
            color=INK if best else COLOURS[0] if at_best else _GREY,
            linewidth=2.0 if best else 0.9,
            alpha=1.0 if best else 0.55,
            zorder=3 if best else 2 if at_best else 1,
        )
    for colour, width, label in (
        (INK, 2.0, "the best start"),
        (COLOURS[0], 0.9, "others that end there"),
        (_GREY, 0.9, "others that do not"),
    ):
        ax.plot([], [], color=colour, linewidth=width, label=label)
    ax.set_yscale("log")
    ax.set_ylim(0.5 * floor, 3 * top)
    ax.set_xlabel("iteration")
    ax.set_ylabel("objective above the best")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlim(left=0)
    ax.legend(loc="upper right", framealpha=0.85, edgecolor="none")
    _bare(ax)
    return ax


def plot_parallel(result: FitResult, *, ax: Any = None) -> Any:
    """See `FitResult.plot_parallel`."""
    count = len(result.names)
    if ax is None:
        size = (7.2, 1.4 + 0.5 * max(count, 2))
        ax = pyplot().subplots(figsize=size, layout="constrained")[1]
    starts = [start for start in result.starts if math.isfinite(start.objective)]
    points = np.array([start.values for start in starts]).reshape(len(starts), count)
    places = np.empty_like(points)
    ends = []
    for index, estimate in enumerate(result.estimates):
        places[:, index], low, high = _places(points[:, index], estimate.bounds, estimate.scale)
        ends.append((low, high))
    rows = np.arange(count)
    excess = _excess(result)[: len(starts)]
    worst = max(float(excess.max(initial=0.0)), 1e-3)
    shown = list(range(len(starts)))[:_MAX_LINES]
    for index in reversed(shown):
        share = math.log1p(excess[index] / _AT_BEST) / math.log1p(worst / _AT_BEST)
        at_best = excess[index] <= _AT_BEST
        ax.plot(
            places[index],
            rows,
            "-o",
            color=INK if index == 0 else COLOURS[0] if at_best else _GREY,
            alpha=1.0 if index == 0 else 0.55 if at_best else 0.55 - 0.35 * share,
            linewidth=2.0 if index == 0 else 0.9,
            markersize=5 if index == 0 else 3,
            zorder=3 if index == 0 else 2 if at_best else 1,
            clip_on=False,
        )
    for row, (low, high) in enumerate(ends):
        ax.text(-0.02, row, f"{low:.3g}", ha="right", va="center", fontsize="small", color="0.4")
        ax.text(1.02, row, f"{high:.3g}", ha="left", va="center", fontsize="small", color="0.4")
    ax.set_xlim(-0.2, 1.2)
    ax.set_xticks([0, 1], ["lower end", "upper end"])
    ax.set_yticks(rows, list(result.names))
    ax.set_ylim(count - 0.5, -0.5)
    ax.grid(axis="x", color="0.9", linewidth=0.8)
    at_best = int(np.count_nonzero(excess <= _AT_BEST))
    ax.set_title(
        f"best (dark), {at_best} of {len(result.starts)} starts at the best (blue), others (grey)",
        fontsize="medium",
        loc="left",
    )
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    return ax


def _places(
    values: FloatArray, bounds: tuple[float, float], scale: str
) -> tuple[FloatArray, float, float]:
    """Where values lie from 0 to 1 between their bounds, in the coordinate of the search."""
    finite = values[np.isfinite(values)]
    low, high = bounds
    if not math.isfinite(low):
        low = float(finite.min(initial=0.0))
    if not math.isfinite(high):
        high = float(finite.max(initial=1.0))
    logarithmic = scale in ("log", "log10") and low > 0
    a, b = (math.log(low), math.log(high)) if logarithmic else (low, high)
    u = np.log(values) if logarithmic else values
    return (u - a) / (b - a if b > a else 1.0), low, high


def plot_correlation(result: FitResult, *, ax: Any = None) -> Any:
    """See `FitResult.plot_correlation`."""
    count = len(result.names)
    if ax is None:
        size = min(3.2 + 0.55 * count, 12.0)
        ax = pyplot().subplots(figsize=(size + 0.8, size), layout="constrained")[1]
    ax.set_facecolor("#E3E6E8")  # What is not known.
    image = ax.imshow(result.correlation, cmap="RdBu_r", vmin=-1, vmax=1)
    if count <= 14:
        for (row, column), value in np.ndenumerate(result.correlation):
            known = not math.isnan(value)
            ax.text(
                column,
                row,
                f"{value:.2f}" if known else "-",
                ha="center",
                va="center",
                fontsize="small" if count <= 10 else "x-small",
                color="white" if known and abs(value) > 0.65 else "black",
            )
    ax.set_xticks(range(count), result.names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(count), result.names)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.figure.colorbar(image, ax=ax, shrink=0.8, label="correlation")
    return ax


# Profiles


def plot_profiles(
    result: ProfileResult, names: Sequence[str] | str | None, *, axes: Any = None
) -> Any:
    """See `ProfileResult.plot`."""
    wanted = [names] if isinstance(names, str) else list(result if names is None else names)
    profiles = [result[name] for name in wanted]
    if axes is None:
        columns = min(max(len(profiles), 1), 3)
        lines = -(-max(len(profiles), 1) // columns)
        axes = pyplot().subplots(
            lines,
            columns,
            figsize=(max(5.0, 3.6 * columns), 3.1 * lines),
            squeeze=False,
            sharey=True,
            layout="constrained",
        )[1]
    panels = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    for number, ax in enumerate(panels):
        if number < len(profiles):
            _draw_profile(ax, profiles[number], result)
            first = ax.get_subplotspec() is None or ax.get_subplotspec().is_first_col()
            ax.set_ylabel("objective above the best" if first else "")
        else:
            ax.set_visible(False)
    return axes


def _draw_profile(ax: Any, profile: Profile, result: ProfileResult) -> None:
    excess = profile.objectives - np.min(profile.objectives, initial=math.inf)
    lower, upper = profile.interval
    inside = [side for side in (lower, upper) if math.isfinite(side)]
    ax.axhline(result.threshold, color=COLOURS[1], linewidth=1.0, linestyle="--", zorder=1)
    ax.text(
        0.5,
        result.threshold,
        f"{100 * result.confidence:g} %",
        transform=ax.get_yaxis_transform(),
        ha="center",
        va="bottom",
        fontsize="small",
        color=COLOURS[1],
    )
    for side in inside:
        ax.axvline(side, color=COLOURS[1], linewidth=0.8, alpha=0.6, zorder=1)
    ax.plot(profile.values, excess, "-o", color=COLOURS[0], markersize=2.5, linewidth=1.4, zorder=2)
    ax.plot([profile.best], [0.0], "o", color=INK, markersize=6, zorder=3, clip_on=False)
    positive = profile.values.size and profile.values.min() > 0
    if positive and profile.values.max() > 20 * profile.values.min():
        ax.set_xscale("log")
    ax.set_ylim(0, max(2.2 * result.threshold, 1e-12))
    ax.set_xlabel(profile.name)
    ax.set_title(f"{_side(lower)} .. {_side(upper)}", fontsize="medium", loc="left")
    _bare(ax)


def _side(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "open"
