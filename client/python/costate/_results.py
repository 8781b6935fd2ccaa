"""What every answer carries beside its numbers: why it ended, what it took."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

from costate import _proto

_REASONS = {
    number: name[len("REASON_") :].lower()
    for name, number in _proto.enum_of_message("Termination", "Reason").items()
}
REACHED_END = "reached_end"


@dataclasses.dataclass(frozen=True)
class Status:
    """Why a trajectory ended. True in a condition when it reached the end.

    Attributes
    ----------
    reason
        "reached_end", "max_steps", "step_underflow", "non_finite" or "wall_budget".
    t
        Time that was reached.
    step
        Accepted steps until then.
    state
        State at fault, as "v" or "y[3]"; empty if none.
    expression
        That state's equation in the model text, where known.
    detail
        One sentence with the figures and what to try; empty at the end.
    trajectory
        Index in the batch; 0 without one.
    """

    reason: str
    t: float
    step: int
    state: str = ""
    expression: str = ""
    detail: str = ""
    trajectory: int = 0

    @property
    def success(self) -> bool:
        """Whether t1 was reached."""
        return self.reason == REACHED_END

    def __bool__(self) -> bool:
        return self.success

    def __str__(self) -> str:
        if self.success:
            return f"reached t = {self.t:g} in {self.step} steps"
        where = f" (state {self.state})" if self.state else ""
        return f"{self.reason} at t = {self.t:g} after {self.step} steps{where}" + (
            f": {self.detail}" if self.detail else ""
        )


@dataclasses.dataclass(frozen=True)
class SolveStats:
    """What solving took; of a batch, the sum over its trajectories."""

    accepted_steps: int
    rejected_steps: int
    rhs_evaluations: int

    def __str__(self) -> str:
        return (
            f"{self.accepted_steps} steps, {self.rejected_steps} rejected, "
            f"{self.rhs_evaluations} evaluations"
        )


@dataclasses.dataclass(frozen=True)
class GradientStats:
    """What a gradient took; of a batch, sums and, where it says largest, maxima.

    Attributes
    ----------
    solve
        Of the forward pass.
    jvp_evaluations
        Products with the Jacobian of the right-hand side; a SIMD block of tangents counts once.
    vjp_evaluations
        Products with its transpose.
    replayed_steps
        Steps pulled back in the reverse pass.
    recomputed_steps
        Steps of the forward solve taken again to get there.
    backward_steps, backward_rejected
        Of a solve backwards.
    reverse_rhs_evaluations
        Evaluations of the right-hand side in the reverse pass.
    peak_stored_bytes
        Largest size of a stored trajectory; of `memory_budget`.
    disk_bytes
        Largest size of checkpoints on disk.
    reconstruction_error
        Largest error of a state solved backwards, in tolerances; NaN where none was.
    tangent_error_max, tangent_error_quantile90, tangent_error_share_above_one
        Forward only: the embedded error of the tangents over its own tolerance, largest over
        accepted steps, its 90 % quantile and the share of steps above one.
    """

    solve: SolveStats
    jvp_evaluations: int
    vjp_evaluations: int
    replayed_steps: int
    peak_stored_bytes: int
    tangent_error_max: float
    tangent_error_quantile90: float
    tangent_error_share_above_one: float
    recomputed_steps: int = 0
    backward_steps: int = 0
    backward_rejected: int = 0
    disk_bytes: int = 0
    reconstruction_error: float = math.nan
    reverse_rhs_evaluations: int = 0

    def __str__(self) -> str:
        parts = [str(self.solve)]
        if self.jvp_evaluations:
            parts.append(f"{self.jvp_evaluations} Jacobian products")
        if self.vjp_evaluations:
            parts.append(f"{self.vjp_evaluations} transposed products")
        if self.recomputed_steps:
            parts.append(f"{self.recomputed_steps} steps again")
        if self.backward_steps:
            parts.append(f"{self.backward_steps} steps backwards")
        return ", ".join(parts)


@dataclasses.dataclass(frozen=True)
class Timing:
    """Where the time of a call went on the server, in seconds.

    Attributes
    ----------
    queue
        Between arrival and the start of the work.
    compile
        Parsing, differentiation of the model and compilation, where not cached.
    engine
        The numerical work.
    """

    queue: float
    compile: float
    engine: float


def status_from_proto(message: Any, trajectory: int = 0) -> Status:
    """Converts a Termination."""
    return Status(
        reason=_REASONS.get(message.reason, str(message.reason)),
        t=message.t,
        step=message.step,
        state=message.state,
        expression=message.expression,
        detail=message.detail,
        trajectory=trajectory,
    )


def statuses_from_proto(messages: Iterable[Any]) -> tuple[Status, ...]:
    return tuple(status_from_proto(message, b) for b, message in enumerate(messages))


def solve_stats_from_proto(message: Any) -> SolveStats:
    return SolveStats(message.accepted_steps, message.rejected_steps, message.rhs_evaluations)


def gradient_stats_from_proto(message: Any) -> GradientStats:
    fields = {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}
    known = {field.name: fields[field.name] for field in dataclasses.fields(GradientStats)}
    return GradientStats(**{**known, "solve": solve_stats_from_proto(message.solve)})


def timing_from_proto(message: Any) -> Timing:
    def seconds(duration: Any) -> float:
        return float(duration.ToNanoseconds()) * 1e-9

    return Timing(seconds(message.queue), seconds(message.compile), seconds(message.engine))


def total_solve_stats(stats: Sequence[SolveStats]) -> SolveStats:
    return SolveStats(
        sum(s.accepted_steps for s in stats),
        sum(s.rejected_steps for s in stats),
        sum(s.rhs_evaluations for s in stats),
    )


_LARGEST = {
    "peak_stored_bytes",
    "disk_bytes",
    "reconstruction_error",
    "tangent_error_max",
    "tangent_error_quantile90",
    "tangent_error_share_above_one",
}


def total_gradient_stats(stats: Sequence[GradientStats]) -> GradientStats:
    """Sums, and maxima that do not look at NaN."""
    if len(stats) == 1:
        return stats[0]
    found: dict[str, Any] = {"solve": total_solve_stats([s.solve for s in stats])}
    for field in dataclasses.fields(GradientStats):
        values = [getattr(s, field.name) for s in stats]
        if field.name in _LARGEST:
            known = [value for value in values if not math.isnan(value)]
            found[field.name] = max(known, default=math.nan if values else 0)
        elif field.name != "solve":
            found[field.name] = sum(values)
    return GradientStats(**found)


def worst(statuses: Sequence[Status]) -> Status:
    """The first that did not reach the end, else the first."""
    return next((status for status in statuses if not status), statuses[0])
