"""Derivatives that a client can ask for, as generators that yield calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from costate import _rpc
from costate._arrays import Layout, Slot, invalid, to_proto
from costate._bind import with_gradient_arguments, with_simulation_arguments
from costate._derivatives import Gradient, Jvp, Sensitivities, Vjp
from costate._gradient_options import (
    GradientArguments,
    ReportArgument,
    fill_report,
    method_to_proto,
)
from costate._hessian import GradientCheck, Hvp
from costate._losses import Loss, loss_to_proto
from costate._model import ModelInfo, ModelLike
from costate._names import unknown_name
from costate._operations import Context, describe, end_of, simulation_of
from costate._options import (
    GRADIENT_METHODS,
    METHODS,
    TANGENT_CONTROLS,
    SaveAt,
    SimulationArguments,
    check_arguments,
    fill_save,
    last_time,
)
from costate._rpc import Operation, Rpc

if TYPE_CHECKING:
    from typing_extensions import Unpack

Vectors = Mapping[str, npt.ArrayLike]


def _check(call: str, arguments: Any, known: Any = SimulationArguments) -> None:
    check_arguments(call, arguments, known.__annotations__)
    method = arguments.get("method")
    if method and method not in METHODS and method in GRADIENT_METHODS:
        raise invalid(
            "method",
            f"{method!r} is a way to differentiate: gradient_method={method!r}; "
            "`method` says how steps are taken",
        )
    method = arguments.get("gradient_method")
    if method and method not in GRADIENT_METHODS and method in METHODS:
        raise invalid(
            "gradient_method",
            f"{method!r} is a way to take steps: method={method!r}; `gradient_method` says how to "
            "differentiate",
        )


def check_gradient_arguments(call: str, arguments: GradientArguments) -> None:
    """Names an argument that no call with a gradient method has, with the nearest one."""
    _check(call, arguments, GradientArguments)


def loss_info(
    context: Context, model: ModelLike, losses: Iterable[Loss]
) -> Operation[ModelInfo | None]:
    for loss in losses:
        if not isinstance(loss, Loss):
            raise TypeError(
                "expected a loss (costate.LeastSquares, Linear, Terminal, Integral, Expression "
                f"or a sum of them), not {type(loss).__name__}"
            )
    if any(loss.needs_layout for loss in losses):
        return (yield from describe(context, model))
    return None


def wrt_names(wrt: Sequence[str] | str | None) -> list[str]:
    if wrt is None:
        return []
    names = [wrt] if isinstance(wrt, str) else list(wrt)
    if not names:
        raise invalid("wrt", "name at least one parameter or state, or leave it out for all params")
    return names


@with_gradient_arguments
def gradient(
    context: Context,
    model: ModelLike,
    *,
    loss: Loss,
    wrt: Sequence[str] | str | None = None,
    report: ReportArgument = True,
    time_gradient: bool = False,
    want_saved: bool = False,
    **arguments: Unpack[GradientArguments],
) -> Operation[Gradient]:
    """Loss and gradient of a solve, from one pass, with a statement of how far to trust it.

    Parameters
    ----------
    model : costate.Model, ModelInfo or str
        What to solve; a string is the text of a model or the name of a registered one.
    loss : LeastSquares, Linear, Terminal, Integral, Expression or a sum of them
        Decides at which times the solution is looked at.
    wrt : list of str
        Parameters, states (meaning their initial values), "t0", "t1". Default: every parameter.
    report : bool or costate.Report
        The statement of trust, `Gradient.report`. Default True: the checks that cost about as
        much as one to three more solves, of a batch on every 16th trajectory; a `costate.Report`
        names further checks, or on how many. False inside the loop of an optimiser, which asks a
        thousand times.
    time_gradient : bool
        Return derivatives of the loss by the times it looks at too. Default False.
    want_saved : bool
        Return the values that the loss was computed from, as `Gradient.saved`. Default False.
    <method>
    <simulation>

    Returns
    -------
    Gradient

    Examples
    --------
    >>> loss = costate.LeastSquares(output="in_bed", t=days, values=counts, sigma=10.0)
    >>> g = client.gradient(model, t=(0, 14), loss=loss, wrt=["b", "k", "i"])
    >>> g.value, g["b"], g.vector
    >>> print(g.report)
    """
    _check("gradient", arguments, GradientArguments)
    options = method_to_proto(arguments)
    fill_report(options, report)
    options.want_time_gradient = bool(time_gradient)
    info = yield from loss_info(context, model, [loss])
    problem = yield from simulation_of(context, model, arguments, last_time(loss.times))
    request = _rpc.COMPUTE_GRADIENT.request_class(
        simulation=problem,
        loss=loss_to_proto(loss, info),
        wrt=wrt_names(wrt),
        gradient=options,
        want_saved=want_saved,
    )
    response = yield Rpc(_rpc.COMPUTE_GRADIENT, request, arguments.get("timeout"))
    return Gradient(response)


@with_gradient_arguments
def vjp(
    context: Context,
    model: ModelLike,
    *,
    cotangents: Sequence[Loss] | Loss,
    wrt: Sequence[str] | str | None = None,
    **arguments: Unpack[GradientArguments],
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
    <method>
    <simulation>

    Returns
    -------
    Vjp
    """
    _check("vjp", arguments, GradientArguments)
    options = method_to_proto(arguments)
    losses = [cotangents] if isinstance(cotangents, Loss) else list(cotangents)
    info = yield from loss_info(context, model, losses)
    times = np.concatenate([loss.times for loss in losses] or [np.empty(0)])
    problem = yield from simulation_of(context, model, arguments, last_time(times))
    request = _rpc.COMPUTE_VJP.request_class(
        simulation=problem,
        cotangents=[loss_to_proto(loss, info) for loss in losses],
        wrt=wrt_names(wrt),
        gradient=options,
    )
    response = yield Rpc(_rpc.COMPUTE_VJP, request, arguments.get("timeout"))
    return Vjp(response)


@with_simulation_arguments
def jvp(
    context: Context,
    model: ModelLike,
    *,
    tangents: Sequence[Vectors] | Vectors,
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
        "full" (default): the error of every tangent is controlled too. "primal_only": the very
        steps of the plain solve.
    <simulation>

    Returns
    -------
    Jvp
    """
    _check("jvp", simulation)
    layout, rows = yield from _directions(context, model, tangents, "tangents", None)
    problem = yield from simulation_of(context, model, simulation, end_of(save_at))
    fill_save(problem.options, save_at)
    request = _rpc.COMPUTE_JVP.request_class(
        simulation=problem,
        wrt=layout.names,
        directions=to_proto(rows),
        tangent_control=TANGENT_CONTROLS.number(tangent_control or "full", "tangent_control"),
    )
    response = yield Rpc(_rpc.COMPUTE_JVP, request, simulation.get("timeout"))
    return Jvp(response)


def _directions(
    context: Context,
    model: ModelLike,
    vectors: Sequence[Vectors] | Vectors,
    field: str,
    wrt: Sequence[str] | str | None,
) -> Operation[tuple[Layout, Any]]:
    """The layout of `wrt`, or of all names in the vectors, and the vectors in it: [V, q]."""
    given = [vectors] if isinstance(vectors, Mapping) else list(vectors)
    for index, vector in enumerate(given):
        if not isinstance(vector, Mapping):
            raise invalid(f"{field}[{index}]", "expected a mapping from names to values")
    info = yield from describe(context, model)
    names = wrt_names(wrt) or dict.fromkeys(name for vector in given for name in vector)
    layout = _wrt_layout(info, names, field)
    rows = [layout.flatten(vector, f"{field}[{v}]") for v, vector in enumerate(given)]
    return layout, np.array(rows).reshape(len(rows), layout.size)


def _wrt_layout(info: ModelInfo, names: Iterable[str], field: str) -> Layout:
    slots, offset = [], 0
    for name in names:
        shape = info.shape_of(name)
        if shape is None:
            known = [*info.params, *info.states, "t0", "t1"]
            raise invalid(field, unknown_name(name, known))
        slots.append(Slot(name, shape, offset))
        offset += slots[-1].size
    if not slots:
        raise invalid(field, "name at least one parameter or state")
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
        As in `jvp`.
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
    _check("sensitivities", simulation)
    problem = yield from simulation_of(context, model, simulation, end_of(save_at))
    fill_save(problem.options, save_at)
    request = _rpc.COMPUTE_SENSITIVITIES.request_class(
        simulation=problem,
        wrt=wrt_names(wrt),
        tangent_control=TANGENT_CONTROLS.number(tangent_control or "full", "tangent_control"),
    )
    response = yield Rpc(_rpc.COMPUTE_SENSITIVITIES, request, simulation.get("timeout"))
    return Sensitivities(response)


@with_simulation_arguments
def hvp(
    context: Context,
    model: ModelLike,
    *,
    loss: Loss,
    vectors: Sequence[Vectors] | Vectors,
    wrt: Sequence[str] | str | None = None,
    gauss_newton: bool = False,
    **simulation: Unpack[SimulationArguments],
) -> Operation[Hvp]:
    """Products of vectors with the Hessian of a loss of one solve (which is not batched).

    Parameters
    ----------
    model : costate.Model, ModelInfo or str
        What to solve; a string is the text of a model or the name of a registered one.
    loss : LeastSquares, Linear, Terminal, Integral, Expression or a sum of them
        As in `gradient`.
    vectors : list of mappings from name to array
        V of them. Names of parameters, states (meaning their initial values), "t0", "t1"; arrays
        of the tensor's shape, or scalars. What one leaves out is zero in it.
    wrt : list of str
        Rows and columns of the Hessian. Default: all names in `vectors`.
    gauss_newton : bool
        Only the part without second derivatives of the solution, which is positive semidefinite
        for least squares. Default False.
    <simulation>

    Returns
    -------
    Hvp

    Examples
    --------
    >>> h = client.hvp(model, t=(0, 14), loss=loss, vectors=[{"b": 1.0}, {"k": 1.0}])
    >>> h.products  # the Hessian by b and k
    """
    _check("hvp", simulation)
    info = yield from loss_info(context, model, [loss])
    layout, rows = yield from _directions(context, model, vectors, "vectors", wrt)
    problem = yield from simulation_of(context, model, simulation, last_time(loss.times))
    request = _rpc.COMPUTE_HVP.request_class(
        simulation=problem,
        loss=loss_to_proto(loss, info),
        wrt=layout.names,
        vectors=to_proto(rows),
        gauss_newton=gauss_newton,
    )
    response = yield Rpc(_rpc.COMPUTE_HVP, request, simulation.get("timeout"))
    return Hvp(response)


@with_gradient_arguments
def check_gradient(
    context: Context,
    model: ModelLike,
    *,
    loss: Loss,
    wrt: Sequence[str] | str | None = None,
    methods: Sequence[str] | None = None,
    time_gradient: bool = False,
    **arguments: Unpack[GradientArguments],
) -> Operation[GradientCheck]:
    """Runs several gradient methods against each other, on one solve (which is not batched).

    Parameters
    ----------
    model : costate.Model, ModelInfo or str
        What to solve; a string is the text of a model or the name of a registered one.
    loss : LeastSquares, Linear, Terminal, Integral, Expression or a sum of them
        As in `gradient`.
    wrt : list of str
        Parameters, states (meaning their initial values), "t0", "t1". Default: every parameter.
    methods : list of str
        Names of gradient methods; the others are compared with the first. Default: "forward",
        "backprop", "gauss", "finite_difference".
    time_gradient : bool
        Compare derivatives of the loss by the times it looks at too. Default False.
    <method>
    <simulation>

    Returns
    -------
    GradientCheck

    Examples
    --------
    >>> print(client.check_gradient(model, t=(0, 14), loss=loss, methods=["forward", "gauss"]))
    """
    _check("check_gradient", arguments, GradientArguments)
    if arguments.get("gradient_method") is not None:
        raise invalid("gradient_method", "name the methods to compare in `methods`")
    if isinstance(methods, str):
        raise invalid("methods", "expected a list of names")
    numbers = [
        GRADIENT_METHODS.number(name, f"methods[{i}]") for i, name in enumerate(methods or ())
    ]
    options = method_to_proto(arguments)
    options.want_time_gradient = bool(time_gradient)
    info = yield from loss_info(context, model, [loss])
    problem = yield from simulation_of(context, model, arguments, last_time(loss.times))
    request = _rpc.CHECK_GRADIENT.request_class(
        simulation=problem,
        loss=loss_to_proto(loss, info),
        wrt=wrt_names(wrt),
        methods=numbers,
        gradient=options,
    )
    response = yield Rpc(_rpc.CHECK_GRADIENT, request, arguments.get("timeout"))
    return GradientCheck(response)
