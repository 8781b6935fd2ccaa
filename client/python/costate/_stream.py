"""Rows of a solve as they arrive."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import numpy as np

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
from costate.errors import CostateError, ServerError, UnknownName


@dataclasses.dataclass(frozen=True, repr=False)
class Chunk:
    """Consecutive rows of one trajectory; chunks of different trajectories may alternate.

    Attributes
    ----------
    trajectory
        Index in the batch; 0 without one.
    t
        [rows] times.
    states, outputs
        Mappings from name to [rows] + shape. ``chunk["i"]`` looks in both.
    """

    trajectory: int
    t: FloatArray
    states: Tensors
    outputs: Tensors

    def __getitem__(self, name: str) -> FloatArray:
        for tensors in (self.states, self.outputs):
            if name in tensors:
                return tensors[name]
        raise UnknownName(unknown_name(name, [*self.states, *self.outputs]))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.t)

    def __repr__(self) -> str:
        return f"<costate.Chunk of trajectory {self.trajectory}, {len(self)} rows>"


class _Stream:
    """Header and summary of a stream.

    Attributes
    ----------
    options
        Every option in force.
    model_name
        Resource name of the model.
    num_trajectories
        B; 1 without a batch axis.
    batched
        Whether there is a batch axis.
    statuses, stats_each, grids
        One per trajectory, empty until the stream has ended.
    timing
        Where the time went on the server; None until the stream has ended.
    """

    def __init__(self, call: Any, to_error: Callable[[Any], CostateError], header: Any) -> None:
        self._call = call
        self._to_error = to_error
        self._states = Layout.from_proto(header.state_layout)
        self._outputs = Layout.from_proto(header.output_layout)
        self.options: dict[str, Any] = options_from_proto(header.options)
        self.model_name: str = header.model
        self.num_trajectories: int = header.num_trajectories
        self.batched = bool(header.batched)
        self.statuses: tuple[Status, ...] = ()
        self.stats_each: tuple[SolveStats, ...] = ()
        self.grids: tuple[FloatArray, ...] = ()
        self.timing: Timing | None = None

    @property
    def status(self) -> Status:
        """As in `Solution`; only after the last chunk."""
        self._require_end()
        return worst(self.statuses)

    @property
    def success(self) -> bool:
        """As in `Solution`; only after the last chunk."""
        self._require_end()
        return all(self.statuses)

    @property
    def stats(self) -> SolveStats:
        """As in `Solution`; only after the last chunk."""
        self._require_end()
        return total_solve_stats(self.stats_each)

    def cancel(self) -> None:
        """Stops the solve on the server; no more chunks come."""
        self._call.cancel()

    def _require_end(self) -> None:
        if not self.statuses:
            raise RuntimeError("known after the last chunk; iterate to the end first")

    def _feed(self, event: Any) -> Chunk | None:
        """Takes one event; returns a chunk if it is one."""
        kind = event.WhichOneof("event")
        if kind == "summary":
            summary = event.summary
            self.statuses = statuses_from_proto(summary.terminations)
            self.stats_each = tuple(solve_stats_from_proto(s) for s in summary.stats)
            self.grids = tuple(from_proto(grid.times) for grid in summary.grids)
            self.timing = timing_from_proto(summary.timing)
        if kind != "chunk":
            return None
        chunk = event.chunk
        t = from_proto(chunk.times).reshape(-1)
        return Chunk(
            trajectory=chunk.trajectory,
            t=t,
            states=_tensors(chunk.states, self._states, len(t)),
            outputs=_tensors(chunk.outputs, self._outputs, len(t)),
        )


def _tensors(message: Any, layout: Layout, rows: int) -> Tensors:
    flat = from_proto(message)
    if flat.size != rows * layout.size:  # Left out on request.
        return Tensors(np.empty((rows, 0)), Layout(()))
    return Tensors(flat.reshape(rows, layout.size), layout)


def _header_of(event: Any) -> Any:
    if event.WhichOneof("event") != "header":
        raise ServerError("the stream did not start with its header")
    return event.header


class SolveStream(_Stream):
    """Iterates over `Chunk` values; also a context manager that cancels what is left."""

    @classmethod
    def open(cls, call: Any, to_error: Callable[[Any], CostateError]) -> SolveStream:
        """Waits for the header, so that a call that cannot run fails here."""
        try:
            return cls(call, to_error, _header_of(next(call)))
        except grpc.RpcError as error:
            raise to_error(error) from None
        except StopIteration:
            raise ServerError("the stream ended before its header") from None

    def __iter__(self) -> Iterator[Chunk]:
        try:
            for event in self._call:
                chunk = self._feed(event)
                if chunk is not None:
                    yield chunk
        except grpc.RpcError as error:
            raise self._to_error(error) from None

    def __enter__(self) -> SolveStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()


class AsyncSolveStream(_Stream):
    """The same for ``async for`` and ``async with``."""

    @classmethod
    async def open(cls, call: Any, to_error: Callable[[Any], CostateError]) -> AsyncSolveStream:
        """Waits for the header, so that a call that cannot run fails here."""
        try:
            event = await call.read()
        except grpc.RpcError as error:
            raise to_error(error) from None
        if event is grpc.aio.EOF:
            raise ServerError("the stream ended before its header")
        return cls(call, to_error, _header_of(event))

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        try:
            while True:
                event = await self._call.read()
                if event is grpc.aio.EOF:
                    return
                chunk = self._feed(event)
                if chunk is not None:
                    yield chunk
        except grpc.RpcError as error:
            raise self._to_error(error) from None

    async def __aenter__(self) -> AsyncSolveStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()
