"""Solves that the server keeps, so that gradients of several losses need not solve again."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from costate import _rpc
from costate._arrays import Layout, invalid, to_proto
from costate._bind import with_gradient_arguments
from costate._derivatives import Gradient, Vjp, brief
from costate._gradient_options import (
    GradientArguments,
    gradient_options_from_proto,
    method_to_proto,
)
from costate._gradients import check_gradient_arguments, loss_info, wrt_names
from costate._losses import Loss, loss_to_proto
from costate._model import ModelLike
from costate._operations import Context, end_of, simulation_of
from costate._options import GRADIENT_METHODS, SaveAt, fill_save
from costate._rpc import Operation, Rpc
from costate._solution import Solution, solution_from_proto, table_html
from costate.errors import CostateError, NotFound

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Unpack


@dataclasses.dataclass(frozen=True)
class _Held:
    """What the server said about keeping a solve; `name` is empty if it does not."""

    name: str = ""
    reason: str = ""
    expires: datetime.datetime | None = None
    stored_bytes: int = 0


def _held(response: Any) -> _Held:
    if not response.kept_solve:
        return _Held(reason=response.not_kept_reason)
    return _Held(
        name=response.kept_solve,
        expires=response.expire_time.ToDatetime(tzinfo=datetime.timezone.utc),
        stored_bytes=response.stored_bytes,
    )


class Kept:
    """What a kept solve is for both clients.

    Attributes
    ----------
    solution
        The solve, as `solve` returns it.
    wrt
        Names differentiated by, in the order of the columns.
    method, method_reason
        How gradients are computed, and why that was chosen; empty if it was asked for.
    gradient_options
        What is in force, under the names of the keyword arguments.
    """

    def __init__(self, context: Context, model: ModelLike, request: Any, response: Any) -> None:
        self._context = context
        self._model = model
        self._request = request
        self._held = _held(response)
        self._num_states = Layout.from_proto(response.solution.state_layout).size
        self.solution: Solution = solution_from_proto(response.solution)
        self.wrt: tuple[str, ...] = tuple(entry.name for entry in response.wrt_layout)
        self.method = GRADIENT_METHODS.name(response.gradient_options.method)
        self.method_reason: str = response.method_reason
        self.gradient_options: dict[str, Any] = gradient_options_from_proto(
            response.gradient_options
        )

    @property
    def kept(self) -> bool:
        """Whether the server keeps the solve, as far as this object knows."""
        return bool(self._held.name)

    @property
    def not_kept_reason(self) -> str:
        """Why the server does not keep it, where it had no room; else empty."""
        return self._held.reason

    @property
    def expires(self) -> datetime.datetime | None:
        """When the server lets go of it, in UTC; None if it is not kept."""
        return self._held.expires

    @property
    def stored_bytes(self) -> int:
        """Memory it holds on the server, about; 0 if it is not kept."""
        return self._held.stored_bytes

    def __repr__(self) -> str:
        lines = [f"  {name:<10}{text}" for name, text in self._summary()]
        return f"<costate.{type(self).__name__}\n" + "\n".join(lines) + ">"

    def _repr_html_(self) -> str:
        return table_html(type(self).__name__, self._summary())

    def _summary(self) -> list[tuple[str, str]]:
        held = self._held
        state = held.reason and f"no: {held.reason}"
        if held.expires is not None:
            state = f"until {held.expires:%H:%M:%S} UTC, {held.stored_bytes:,} bytes"
        return [
            ("times", brief(self.solution.t)),
            ("gradients", f"{self.method} by {', '.join(self.wrt)}"),
            ("status", str(self.solution.status)),
            ("kept", state or "released"),
        ]

    # Operations

    def _gradient(self, loss: Loss, want_saved: bool, timeout: float | None) -> Operation[Gradient]:
        info = yield from loss_info(self._context, self._model, [loss])
        request = _rpc.COMPUTE_GRADIENT.request_class(
            loss=loss_to_proto(loss, info), want_saved=want_saved
        )
        return Gradient((yield from self._ask(_rpc.COMPUTE_GRADIENT, request, timeout)))

    def _vjp(self, cotangents: Sequence[Loss] | Loss, timeout: float | None) -> Operation[Vjp]:
        losses = [cotangents] if isinstance(cotangents, Loss) else list(cotangents)
        info = yield from loss_info(self._context, self._model, losses)
        request = _rpc.COMPUTE_VJP.request_class(
            cotangents=[loss_to_proto(loss, info) for loss in losses]
        )
        return Vjp((yield from self._ask(_rpc.COMPUTE_VJP, request, timeout)))

    def _release(self, timeout: float | None) -> Operation[None]:
        held, self._held = self._held, _Held()
        if not held.name:
            return
        request = _rpc.RELEASE_SOLVE.request_class(name=held.name)
        with contextlib.suppress(NotFound):  # That is what was asked for.
            yield Rpc(_rpc.RELEASE_SOLVE, request, timeout)

    def _ask(self, method: _rpc.Method, request: Any, timeout: float | None) -> Operation[Any]:
        """The answer from the kept solve, or where the server has lost it from a new one."""
        for attempt in range(2):
            held = self._held
            if not held.name:
                break
            request.kept_solve = held.name
            try:
                return (yield Rpc(method, request, timeout))
            except NotFound:
                # Unless another thread has done so meanwhile, solve again, once.
                if self._held is held:
                    self._held = _Held()
                    if attempt == 0:
                        response = yield Rpc(_rpc.KEEP_SOLVE, self._request, timeout)
                        self._held = _held(response)
        return (yield Rpc(method, self._in_one_call(request), timeout))

    def _in_one_call(self, request: Any) -> Any:
        """A request that solves, with the same steps, save times and method."""
        whole = type(request)()
        whole.CopyFrom(request)
        whole.ClearField("kept_solve")
        whole.simulation.CopyFrom(self._request.simulation)
        whole.simulation.options.ClearField("save")
        whole.wrt.extend(self._request.wrt)
        whole.gradient.CopyFrom(self._request.gradient)
        save = self._request.simulation.options.save
        is_loss = isinstance(whole, _rpc.COMPUTE_GRADIENT.request_class)
        if is_loss:
            whole.gradient.report.level = whole.gradient.report.LEVEL_OFF
        else:
            whole.gradient.want_time_gradient = False
        # Weights of zero: the solve looks at all times that were asked for.
        if save.HasField("times"):
            terms = whole.loss.terms if is_loss else whole.cotangents[0].terms
            linear = terms.add().linear
            linear.times.CopyFrom(save.times.times)
            weights = to_proto(np.zeros((len(self.solution.t), self._num_states)))
            linear.state_weights.CopyFrom(weights)
        return whole


class KeptSolve(Kept):
    """A solve whose gradients the server computes without solving again.

    Made by `Client.keep`. When the server no longer has it (its time is over, it was restarted,
    another one answers), the next call solves again by itself and goes on: values stay the same.
    Release it when done, or use it as a context manager. Usable from several threads at once.

    Attributes
    ----------
    solution
        The solve, as `Client.solve` returns it.
    wrt
        Names differentiated by, in the order of the columns.
    method, method_reason
        How gradients are computed, and why that was chosen; empty if it was asked for.
    gradient_options
        What is in force, under the names of the keyword arguments.
    """

    def __init__(self, kept: Kept, run: Callable[[Operation[Any]], Any]) -> None:
        self.__dict__.update(kept.__dict__)
        self._run = run

    def gradient(
        self, loss: Loss, *, want_saved: bool = False, timeout: float | None = None
    ) -> Gradient:
        """Loss and gradient, as `Client.gradient` returns them, without a report.

        Parameters
        ----------
        loss : LeastSquares, Linear, Terminal, Expression or a sum of them
            Looks at saved times alone.
        want_saved : bool
            Return all saved values too, as `Gradient.saved`. Default False.
        timeout : float
            Deadline in seconds. Default: the client's.
        """
        result: Gradient = self._run(self._gradient(loss, want_saved, timeout))
        return result

    def vjp(self, cotangents: Sequence[Loss] | Loss, *, timeout: float | None = None) -> Vjp:
        """Gradients of several linear functionals, as `Client.vjp` returns them.

        Parameters
        ----------
        cotangents : list of Linear, Terminal or sums of them
            V of them, which look at saved times alone.
        timeout : float
            Deadline in seconds. Default: the client's.
        """
        result: Vjp = self._run(self._vjp(cotangents, timeout))
        return result

    def release(self, *, timeout: float | None = None) -> None:
        """Lets the server forget it before its time. Later calls solve again, each by itself.

        Parameters
        ----------
        timeout : float
            Deadline in seconds. Default: the client's.
        """
        self._run(self._release(timeout))

    def __enter__(self) -> KeptSolve:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Without server, or with a closed client, it goes by itself.
        with contextlib.suppress(CostateError, ValueError):
            self.release()


class AsyncKeptSolve(Kept):
    """As `costate.KeptSolve`, for asyncio: ``async with await client.keep(...) as kept``."""

    def __init__(self, kept: Kept, run: Callable[[Operation[Any]], Awaitable[Any]]) -> None:
        self.__dict__.update(kept.__dict__)
        self._run = run

    async def gradient(
        self, loss: Loss, *, want_saved: bool = False, timeout: float | None = None
    ) -> Gradient:
        """As `costate.KeptSolve.gradient`."""
        result: Gradient = await self._run(self._gradient(loss, want_saved, timeout))
        return result

    async def vjp(self, cotangents: Sequence[Loss] | Loss, *, timeout: float | None = None) -> Vjp:
        """As `costate.KeptSolve.vjp`."""
        result: Vjp = await self._run(self._vjp(cotangents, timeout))
        return result

    async def release(self, *, timeout: float | None = None) -> None:
        """As `costate.KeptSolve.release`."""
        await self._run(self._release(timeout))

    async def __aenter__(self) -> AsyncKeptSolve:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Without server, or with a closed client, it goes by itself.
        with contextlib.suppress(CostateError, ValueError):
            await self.release()


@with_gradient_arguments
def keep(
    context: Context,
    model: ModelLike,
    *,
    save_at: SaveAt = None,
    wrt: Sequence[str] | str | None = None,
    time_gradient: bool = False,
    lifetime: float | None = None,
    **arguments: Unpack[GradientArguments],
) -> Operation[Kept]:
    """Solves, and lets the server keep what gradients of the solve need.

    For several losses of one solve, and for automatic differentiation, which asks for the solve
    first and for its gradients later: no call on what is returned solves again.

    Parameters
    ----------
    model : costate.Model, ModelInfo or str
        What to solve; a string is the text of a model or the name of a registered one.
    save_at : None, "end" or array [K]
        What to keep: the end only (default), for `Terminal` losses, or given times, at which
        losses may then look.
    wrt : list of str
        Parameters, states (meaning their initial values), "t0", "t1". Default: every parameter.
    time_gradient : bool
        Let `Gradient.time_gradient` have derivatives by the saved times. Default False.
    lifetime : float
        How long to keep it, in seconds. Default 300, or the server's limit if that is less.
    <method>
    <simulation>

    Returns
    -------
    KeptSolve

    Examples
    --------
    >>> with client.keep(model, t=(0, 14), save_at=days, wrt=["b", "k"]) as kept:
    ...     kept.solution["in_bed"]
    ...     kept.gradient(costate.LeastSquares(output="in_bed", t=days, values=counts))["b"]
    """
    check_gradient_arguments("keep", arguments)
    options = method_to_proto(arguments)
    options.want_time_gradient = bool(time_gradient)
    problem = yield from simulation_of(context, model, arguments, end_of(save_at))
    fill_save(problem.options, save_at)
    request = _rpc.KEEP_SOLVE.request_class(
        simulation=problem, wrt=wrt_names(wrt), gradient=options
    )
    if lifetime is not None:
        if not 0 < lifetime < 1e9:
            raise invalid("lifetime", f"a positive number of seconds, not {lifetime}")
        request.lifetime.FromNanoseconds(max(1, round(lifetime * 1e9)))
    response = yield Rpc(_rpc.KEEP_SOLVE, request, arguments.get("timeout"))
    return Kept(context, model, request, response)
