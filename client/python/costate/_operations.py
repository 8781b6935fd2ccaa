"""What a client can do, as generators that yield calls: shared by the blocking and the asyncio
client. Derivatives are in `_gradients`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from costate import _rpc
from costate._arrays import whole
from costate._bind import with_simulation_arguments
from costate._model import Model, ModelInfo, ModelLike, info_from_proto, source_of
from costate._options import (
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
    """What calls of one client share: descriptions of models it has seen. For several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Any, ModelInfo] = {}

    def known(self, model: ModelLike) -> ModelInfo | None:
        if isinstance(model, ModelInfo):
            return model
        return self._known.get(model) if isinstance(model, (Model, str)) else None

    def remember(self, model: ModelLike, info: ModelInfo) -> None:
        with self._lock:
            while len(self._known) >= _MAX_KNOWN_MODELS:
                del self._known[next(iter(self._known))]
            self._known[model] = info

    def forget(self, model: ModelLike) -> None:
        with self._lock:
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


def simulation_of(
    context: Context,
    model: ModelLike,
    arguments: SimulationArguments,
    default_end: float,
) -> Operation[Any]:
    """Builds a Simulation, asking for the order of the states where it is needed."""
    states = None
    if needs_state_layout(arguments):
        states = (yield from describe(context, model)).state_layout
    return simulation_to_proto(source_of(model), arguments, default_end=default_end, states=states)


def end_of(save_at: SaveAt) -> float:
    """The end of the default span for what is saved."""
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
    check_arguments("solve", simulation)
    problem = yield from simulation_of(context, model, simulation, end_of(save_at))
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
    check_arguments("stream_solve", simulation)
    problem = yield from simulation_of(context, model, simulation, end_of(save_at))
    fill_save(problem.options, save_at)
    request = _rpc.STREAM_SOLVE.request_class(
        simulation=problem,
        omit_states=not states,
        omit_outputs=not outputs,
        rows_per_chunk=0
        if rows_per_chunk is None
        else min(whole(rows_per_chunk, "rows_per_chunk"), 2**31 - 1),
    )
    return Rpc(_rpc.STREAM_SOLVE, request, simulation.get("timeout"))
