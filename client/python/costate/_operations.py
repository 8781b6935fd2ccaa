"""What a client can do, as generators that yield calls: shared by the blocking and the asyncio
client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from costate import _rpc
from costate._arrays import Layout, Slot, invalid, to_proto
from costate._bind import with_simulation_arguments
from costate._derivatives import Gradient, Jvp, Sensitivities, Vjp
from costate._losses import Loss, loss_to_proto
from costate._model import ModelInfo, ModelLike, info_from_proto, source_of
from costate._names import unknown_name
from costate._options import (
    GRADIENT_METHODS,
    METHODS,
    TANGENT_CONTROLS,
    SaveAt,
    SimulationArguments,
    check_arguments,
    fill_save,
    last_time,
    needs_state_layout,
    simulation_to_proto,
)
from costate._rpc import Operation, Rpc
from costate._server_info import ServerInfo, server_info_from_proto
from costate._solution import Solution, solution_from_proto
from costate.errors import ModelError, issues_from_proto

if TYPE_CHECKING:
    from typing_extensions import Unpack

_MAX_KNOWN_MODELS = 256


class Context:
    """What calls of one client share: descriptions of models it has seen."""

    def __init__(self) -> None:
        self._known: dict[Any, ModelInfo] = {}

    def known(self, model: ModelLike) -> ModelInfo | None:
        return model if isinstance(model, ModelInfo) else self._known.get(model)

    def remember(self, model: ModelLike, info: ModelInfo) -> None:
        while len(self._known) >= _MAX_KNOWN_MODELS:
            del self._known[next(iter(self._known))]
        self._known[model] = info

    def forget(self, model: ModelLike) -> None:
        self._known.pop(model, None)


# Models


def describe(
    context: Context, model: ModelLike, *, timeout: float | None = None
) -> Operation[ModelInfo]:
    """Asks what a model declares, without registering it.

    Parameters
    ----------
    model : costate.Model, ModelInfo or str
        A text or graph is checked; the name of a registered model is looked up.
    timeout : float
        Deadline in seconds. Default: the client's.

    Returns
    -------
    ModelInfo

    Raises
    ------
    ModelError
        With every issue, where the text is wrong.
    """
    known = context.known(model)
    if known is not None:
        return known
    source = source_of(model)
    if source.name:
        request = _rpc.GET_MODEL.request_class(name=source.name)
        response = yield Rpc(_rpc.GET_MODEL, request, timeout)
    else:
        request = _rpc.CREATE_MODEL.request_class(source=source, validate_only=True)
        response = yield Rpc(_rpc.CREATE_MODEL, request, timeout)
        if response.issues.issues:
            raise _model_error(response.issues)
    inline = None if source.name or isinstance(model, ModelInfo) else model
    info = info_from_proto(response.model, inline)
    context.remember(model, info)
    return info


def _model_error(issues: Any) -> ModelError:
    count = len(issues.issues)
    return ModelError(
        f"the model has {count} issue{'s' if count != 1 else ''}",
        issues=issues_from_proto(issues),
        formatted=issues.formatted,
        code="INVALID_ARGUMENT",
        method=_rpc.CREATE_MODEL.label,
    )


def create_model(
    context: Context, model: ModelLike, *, timeout: float | None = None
) -> Operation[ModelInfo]:
    """Registers a model with the server, so that calls can name it instead of carrying it.

    Never needed: every call takes a `costate.Model` as it is. Registering the same content twice
    is the same model.

    Parameters
    ----------
    model : costate.Model or str
        Text or graph.
    timeout : float
        Deadline in seconds. Default: the client's.

    Returns
    -------
    ModelInfo
        May stand for the model in later calls.
    """
    request = _rpc.CREATE_MODEL.request_class(source=source_of(model))
    response = yield Rpc(_rpc.CREATE_MODEL, request, timeout)
    return info_from_proto(response.model)


def list_models(context: Context, *, timeout: float | None = None) -> Operation[list[ModelInfo]]:
    """All models registered with the server, in order of name.

    Parameters
    ----------
    timeout : float
        Deadline of each page in seconds. Default: the client's.
    """
    found: list[ModelInfo] = []
    token = ""
    while True:
        request = _rpc.LIST_MODELS.request_class(page_size=1000, page_token=token)
        response = yield Rpc(_rpc.LIST_MODELS, request, timeout)
        found += [info_from_proto(model) for model in response.models]
        token = response.next_page_token
        if not token:
            return found


def delete_model(
    context: Context, model: ModelInfo | str, *, timeout: float | None = None
) -> Operation[None]:
    """Makes the server forget a registered model; raises `NotFound` if there is none.

    Parameters
    ----------
    model : ModelInfo or str
        What `create_model` returned, or its name.
    timeout : float
        Deadline in seconds. Default: the client's.
    """
    name = model.name if isinstance(model, ModelInfo) else model
    if not isinstance(name, str):
        raise TypeError("only registered models have a name that can be deleted")
    context.forget(name)
    yield Rpc(_rpc.DELETE_MODEL, _rpc.DELETE_MODEL.request_class(name=name), timeout)


def server_info(context: Context, *, timeout: float | None = None) -> Operation[ServerInfo]:
    """Version, methods and limits of the server.

    Parameters
    ----------
    timeout : float
        Deadline in seconds. Default: the client's.
    """
    response = yield Rpc(_rpc.GET_SERVER_INFO, _rpc.GET_SERVER_INFO.request_class(), timeout)
    return server_info_from_proto(response.info)


# Solves


def _simulation(
    context: Context,
    call: str,
    model: ModelLike,
    arguments: SimulationArguments,
    default_end: float,
) -> Operation[Any]:
    check_arguments(call, arguments)
    states = None
    if needs_state_layout(arguments):
        states = (yield from describe(context, model)).state_layout
    return simulation_to_proto(source_of(model), arguments, default_end=default_end, states=states)


def _end_of(save_at: SaveAt) -> float:
    return 1.0 if save_at is None or isinstance(save_at, (str, int)) else last_time(save_at)


@with_simulation_arguments
def solve(
    context: Context,
    model: ModelLike,
    *,
    save_at: SaveAt = None,
    states: bool = True,
    outputs: bool = True,
    **simulation: Unpack[SimulationArguments],
) -> Operation[Solution]:
    """Integrates a model.

    A solve that ends early (`max_steps`, a state that became infinite, ...) is no error: look at
    `Solution.status`.

    Parameters
    ----------
    model : costate.Model, ModelInfo or str
        What to solve; a string is the text of a model or the name of a registered one.
    save_at : None, "end", "steps", int or array [K]
        What to keep: the end only (default), every step, every n-th step, or given times within
        the span in the direction of integration.
    states, outputs : bool
        Whether to return them. Default True.
    <simulation>

    Returns
    -------
    Solution

    Examples
    --------
    >>> sol = client.solve(model, t=(0, 50), save_at=np.linspace(0, 50, 201), params={"b": 1.7})
    >>> sol["i"].shape
    (201,)
    """
    problem = yield from _simulation(context, "solve", model, simulation, _end_of(save_at))
    fill_save(problem.options, save_at)
    request = _rpc.SOLVE.request_class(
        simulation=problem, omit_states=not states, omit_outputs=not outputs
    )
    response = yield Rpc(_rpc.SOLVE, request, simulation.get("timeout"))
    return solution_from_proto(response)


@with_simulation_arguments
def stream_solve(
    context: Context,
    model: ModelLike,
    *,
    save_at: SaveAt = None,
    states: bool = True,
    outputs: bool = True,
    rows_per_chunk: int | None = None,
    **simulation: Unpack[SimulationArguments],
) -> Operation[Rpc]:
    """Integrates a model and yields the saved rows while they are made.

    For answers that are too large for one message, or wanted early. The deadline is for the
    whole stream.

    Parameters
    ----------
    model : costate.Model, ModelInfo or str
        What to solve; a string is the text of a model or the name of a registered one.
    save_at, states, outputs
        As in `solve`.
    rows_per_chunk : int
        Rows per chunk, at least. Default: chosen by size.
    <simulation>

    Returns
    -------
    SolveStream
        Iterate over it for `Chunk` values; afterwards it knows `status` and `stats`.
    """
    problem = yield from _simulation(context, "stream_solve", model, simulation, _end_of(save_at))
    fill_save(problem.options, save_at)
    request = _rpc.STREAM_SOLVE.request_class(
        simulation=problem,
        omit_states=not states,
        omit_outputs=not outputs,
        rows_per_chunk=rows_per_chunk or 0,
    )
    return Rpc(_rpc.STREAM_SOLVE, request, simulation.get("timeout"))


# Derivatives


def _loss_info(
    context: Context, model: ModelLike, losses: Iterable[Loss]
) -> Operation[ModelInfo | None]:
    for loss in losses:
        if not isinstance(loss, Loss):
            raise TypeError(
                f"expected a loss (costate.LeastSquares, Linear, Terminal or a sum of them), "
                f"not {type(loss).__name__}"
            )
    if any(loss.needs_layout for loss in losses):
        return (yield from describe(context, model))
    return None


def _names(wrt: Sequence[str] | str | None) -> list[str]:
    if wrt is None:
        return []
    names = [wrt] if isinstance(wrt, str) else list(wrt)
    if not names:
        raise invalid("wrt", "name at least one parameter or state, or leave it out for all params")
    return names


def _gradient_options(gradient_method: str, tangent_control: str | None) -> dict[str, int]:
    options = {"method": GRADIENT_METHODS.number(gradient_method, "gradient_method")}
    if tangent_control is not None:
        options["tangent_control"] = TANGENT_CONTROLS.number(tangent_control, "tangent_control")
    return options


def _check_method(simulation: SimulationArguments) -> None:
    method = simulation.get("method")
    if method and method not in METHODS and method in GRADIENT_METHODS:
        raise invalid(
            "method",
            f"{method!r} is a way to differentiate: gradient_method={method!r}; "
            "`method` says how steps are taken",
        )


@with_simulation_arguments
def gradient(
    context: Context,
    model: ModelLike,
    *,
    loss: Loss,
    wrt: Sequence[str] | str | None = None,
    gradient_method: str = "auto",
    tangent_control: str | None = None,
    want_saved: bool = False,
    **simulation: Unpack[SimulationArguments],
) -> Operation[Gradient]:
    """Loss and gradient of a solve, from one pass.

    Parameters
    ----------
    model : costate.Model, ModelInfo or str
        What to solve; a string is the text of a model or the name of a registered one.
    loss : LeastSquares, Linear, Terminal or a sum of them
        Decides at which times the solution is looked at.
    wrt : list of str
        Parameters, states (meaning their initial values), "t0", "t1". Default: every parameter.
    gradient_method : str
        "auto" (default), "forward" or "backprop"; the answer says which was taken and why.
    tangent_control : str
        Forward only. "full" (default): the error of every tangent is controlled too.
        "primal_only": the very steps of the plain solve.
    want_saved : bool
        Return the values that the loss was computed from, as `Gradient.saved`. Default False.
    <simulation>

    Returns
    -------
    Gradient

    Examples
    --------
    >>> loss = costate.LeastSquares(output="in_bed", t=days, values=counts, sigma=10.0)
    >>> g = client.gradient(model, t=(0, 14), loss=loss, wrt=["b", "k", "i"])
    >>> g.value, g["b"], g.vector
    """
    _check_method(simulation)
    info = yield from _loss_info(context, model, [loss])
    problem = yield from _simulation(context, "gradient", model, simulation, last_time(loss.times))
    request = _rpc.COMPUTE_GRADIENT.request_class(
        simulation=problem,
        loss=loss_to_proto(loss, info),
        wrt=_names(wrt),
        gradient=_gradient_options(gradient_method, tangent_control),
        want_saved=want_saved,
    )
    response = yield Rpc(_rpc.COMPUTE_GRADIENT, request, simulation.get("timeout"))
    return Gradient(response)


@with_simulation_arguments
def vjp(
    context: Context,
    model: ModelLike,
    *,
    cotangents: Sequence[Loss] | Loss,
    wrt: Sequence[str] | str | None = None,
    gradient_method: str = "auto",
    tangent_control: str | None = None,
    **simulation: Unpack[SimulationArguments],
) -> Operation[Vjp]:
    """Gradients of several linear functionals of one solve (which is not batched).

    Parameters
    ----------
    model : costate.Model, ModelInfo or str
        What to solve; a string is the text of a model or the name of a registered one.
    cotangents : list of Linear, Terminal or sums of them
        V of them.
    wrt : list of str
        Parameters, states (meaning their initial values), "t0", "t1". Default: every parameter.
    gradient_method, tangent_control : str
        As in `gradient`.
    <simulation>

    Returns
    -------
    Vjp
    """
    _check_method(simulation)
    losses = [cotangents] if isinstance(cotangents, Loss) else list(cotangents)
    info = yield from _loss_info(context, model, losses)
    times = np.concatenate([loss.times for loss in losses] or [np.empty(0)])
    problem = yield from _simulation(context, "vjp", model, simulation, last_time(times))
    request = _rpc.COMPUTE_VJP.request_class(
        simulation=problem,
        cotangents=[loss_to_proto(loss, info) for loss in losses],
        wrt=_names(wrt),
        gradient=_gradient_options(gradient_method, tangent_control),
    )
    response = yield Rpc(_rpc.COMPUTE_VJP, request, simulation.get("timeout"))
    return Vjp(response)


@with_simulation_arguments
def jvp(
    context: Context,
    model: ModelLike,
    *,
    tangents: Sequence[Mapping[str, npt.ArrayLike]] | Mapping[str, npt.ArrayLike],
    save_at: SaveAt = None,
    tangent_control: str | None = None,
    **simulation: Unpack[SimulationArguments],
) -> Operation[Jvp]:
    """Derivatives of the saved values of one solve (which is not batched) in given directions.

    Parameters
    ----------
    model : costate.Model, ModelInfo or str
        What to solve; a string is the text of a model or the name of a registered one.
    tangents : list of mappings from name to array
        V directions. Names of parameters, states (meaning their initial values), "t0", "t1";
        arrays of the tensor's shape, or scalars. What one leaves out is zero in it.
    save_at : None, "end" or array [K]
        As in `solve`.
    tangent_control : str
        As in `gradient`.
    <simulation>

    Returns
    -------
    Jvp
    """
    _check_method(simulation)
    directions = [tangents] if isinstance(tangents, Mapping) else list(tangents)
    info = yield from describe(context, model)
    layout = _wrt_layout(info, dict.fromkeys(name for d in directions for name in d))
    rows = [layout.flatten(d, f"tangents[{v}]") for v, d in enumerate(directions)]
    problem = yield from _simulation(context, "jvp", model, simulation, _end_of(save_at))
    fill_save(problem.options, save_at)
    request = _rpc.COMPUTE_JVP.request_class(
        simulation=problem,
        wrt=layout.names,
        directions=to_proto(np.array(rows).reshape(len(rows), layout.size)),
        tangent_control=TANGENT_CONTROLS.number(tangent_control or "full", "tangent_control"),
    )
    response = yield Rpc(_rpc.COMPUTE_JVP, request, simulation.get("timeout"))
    return Jvp(response)


def _wrt_layout(info: ModelInfo, names: Iterable[str]) -> Layout:
    slots, offset = [], 0
    for name in names:
        shape = info.shape_of(name)
        if shape is None:
            known = [*info.params, *info.states, "t0", "t1"]
            raise invalid("tangents", unknown_name(name, known))
        slots.append(Slot(name, shape, offset))
        offset += slots[-1].size
    if not slots:
        raise invalid("tangents", "name at least one parameter or state")
    return Layout(slots)


@with_simulation_arguments
def sensitivities(
    context: Context,
    model: ModelLike,
    *,
    save_at: SaveAt = None,
    wrt: Sequence[str] | str | None = None,
    tangent_control: str | None = None,
    **simulation: Unpack[SimulationArguments],
) -> Operation[Sensitivities]:
    """The derivative of every saved value of one solve (which is not batched) by every column.

    Parameters
    ----------
    model : costate.Model, ModelInfo or str
        What to solve; a string is the text of a model or the name of a registered one.
    save_at : None, "end" or array [K]
        As in `solve`.
    wrt : list of str
        Parameters, states (meaning their initial values), "t0", "t1". Default: every parameter.
    tangent_control : str
        As in `gradient`.
    <simulation>

    Returns
    -------
    Sensitivities

    Examples
    --------
    >>> s = client.sensitivities(model, t=(0, 14), save_at=days, wrt=["b", "i"])
    >>> s["in_bed", "b"].shape
    (14,)
    """
    _check_method(simulation)
    problem = yield from _simulation(context, "sensitivities", model, simulation, _end_of(save_at))
    fill_save(problem.options, save_at)
    request = _rpc.COMPUTE_SENSITIVITIES.request_class(
        simulation=problem,
        wrt=_names(wrt),
        tangent_control=TANGENT_CONTROLS.number(tangent_control or "full", "tangent_control"),
    )
    response = yield Rpc(_rpc.COMPUTE_SENSITIVITIES, request, simulation.get("timeout"))
    return Sensitivities(response)
