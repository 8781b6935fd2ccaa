"""What a server is and can do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class MethodInfo:
    """One way to take steps.

    Attributes
    ----------
    name
        As the argument `method` takes it.
    order, error_order, dense_order
        Of the solution, of the embedded estimate (0 if there is none), of values between steps.
    stages
        Vectors that a step keeps.
    citation
        Where it comes from.
    evaluations
        Of the right-hand side in a step.
    reversal
        Whether `gradient_method="reversible"` can take its steps back: "exact" up to rounding,
        "near" up to a high power of the step, "none".
    takes_coupling
        Whether the argument `coupling` makes it reversible exactly.
    """

    name: str
    order: int
    error_order: int
    dense_order: int
    stages: int
    citation: str
    evaluations: int
    reversal: str
    takes_coupling: bool


@dataclasses.dataclass(frozen=True)
class GradientMethodInfo:
    """One way to differentiate.

    Attributes
    ----------
    name
        As the argument `gradient_method` takes it.
    family
        "tangent", "discrete_adjoint", "continuous_adjoint" or "difference".
    citation
        Where it comes from.
    """

    name: str
    family: str
    citation: str


@dataclasses.dataclass(frozen=True)
class ServerInfo:
    """Versions, methods and limits of a server.

    Attributes
    ----------
    version
        "major.minor.patch".
    api_packages
        Packages served, "costate.v1" among them.
    evaluator
        "llvm" or "interpreter".
    simd_lanes
        Trajectories per SIMD kernel.
    compute_threads, interactive_threads
        Threads, and how many of them are reserved for short calls.
    methods, gradient_methods
        By name.
    ops
        Names of the operations a graph may use.
    limits
        By name, as ServerLimits of proto/costate/v1/server.proto; times in seconds.
    unimplemented
        Calls declared that this server does not answer, "costate.v1.Service/Method".
    job_kinds
        What can be queued as a job, as `Job.kind`; empty where the server keeps no jobs.
    """

    version: str
    api_packages: tuple[str, ...]
    evaluator: str
    simd_lanes: int
    compute_threads: int
    interactive_threads: int
    methods: Mapping[str, MethodInfo]
    gradient_methods: Mapping[str, GradientMethodInfo]
    ops: tuple[str, ...]
    limits: Mapping[str, float]
    unimplemented: tuple[str, ...]
    job_kinds: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"<costate.ServerInfo {self.version}, {self.evaluator}, {self.simd_lanes} lanes, "
            f"{self.compute_threads} threads, methods {', '.join(self.methods)}>"
        )


def server_info_from_proto(info: Any) -> ServerInfo:
    """Converts a ServerInfo message."""
    limits: dict[str, float] = {}
    for field in info.limits.DESCRIPTOR.fields:
        value = getattr(info.limits, field.name)
        limits[field.name] = value if field.message_type is None else value.ToNanoseconds() * 1e-9
    return ServerInfo(
        version=info.version,
        api_packages=tuple(info.api_packages),
        evaluator=info.evaluator,
        simd_lanes=info.simd_lanes,
        compute_threads=info.compute_threads,
        interactive_threads=info.interactive_threads,
        methods={
            m.name: MethodInfo(
                m.name,
                m.order,
                m.error_order,
                m.dense_order,
                m.stages,
                m.citation,
                m.evaluations,
                m.reversal,
                m.takes_coupling,
            )
            for m in info.methods
        },
        gradient_methods={
            m.name: GradientMethodInfo(m.name, m.family, m.citation) for m in info.gradient_methods
        },
        ops=tuple(op.name for op in info.ops),
        limits=limits,
        unimplemented=tuple(info.unimplemented),
        job_kinds=tuple(info.job_kinds),
    )
