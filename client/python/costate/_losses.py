"""Scalar functions of a solution, to be differentiated. They add: ``loss = a + b``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from costate import _proto
from costate._arrays import (
    FloatArray,
    as_floats,
    as_vector,
    invalid,
    named_arrays,
    to_proto,
)

if TYPE_CHECKING:
    from costate._model import ModelInfo

_LossTerm = _proto.message("LossTerm")
_Loss = _proto.message("Loss")

Weights = Mapping[str, npt.ArrayLike]


class Loss:
    """A sum of terms: `LeastSquares`, `Linear`, `Terminal`, `Integral`, `Expression`.

    Parameters
    ----------
    terms
        At least one.
    """

    def __init__(self, terms: Iterable[Loss]) -> None:
        self.terms: tuple[Loss, ...] = tuple(part for term in terms for part in term.terms)
        if not self.terms:
            raise ValueError("a loss has at least one term")

    def __add__(self, other: object) -> Loss:
        return Loss([self, other]) if isinstance(other, Loss) else NotImplemented

    def __radd__(self, other: object) -> Loss:
        # The built-in sum starts from 0.
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.terms))

    @property
    def needs_layout(self) -> bool:
        """Whether the order of states and outputs must be known to send this."""
        return any(term.needs_layout for term in self.terms)

    @property
    def times(self) -> FloatArray:
        """All times it looks at, [N], unordered."""
        return np.concatenate([term.times for term in self.terms])

    def _term_messages(self, info: ModelInfo | None) -> list[Any]:
        return [message for term in self.terms for message in term._term_messages(info)]


class _Term(Loss):
    def __init__(self) -> None:
        self.terms = (self,)


class LeastSquares(_Term):
    """sum_i ((v(t_i) - values_i) / sigma_i)^2 for one output or state v.

    Parameters
    ----------
    output, state
        What was observed: exactly one of the two; a name, or an element such as "y[1]". A whole
        tensor where `values` has its shape after the axis of times.
    t
        [N] times within the span of the solve, in any order, repeats allowed.
    values
        [N] (or [N] + shape of the tensor) measurements; NaN marks a missing one.
    sigma
        Standard deviation in the unit of the values, > 0: a scalar or the shape of `values`.
        Default 1.
    half
        Multiply by 1/2. Default False.
    """

    needs_layout = False

    def __init__(
        self,
        *,
        output: str | None = None,
        state: str | None = None,
        t: npt.ArrayLike,
        values: npt.ArrayLike,
        sigma: npt.ArrayLike | None = None,
        half: bool = False,
    ) -> None:
        super().__init__()
        if (output is None) == (state is None):
            raise ValueError("give exactly one of output and state")
        self.output, self.state, self.half = output, state, bool(half)
        self.t = as_vector(t, "t")
        self.values = as_floats(values, "values")
        if self.values.ndim == 0:
            self.values = self.values.reshape(1)
        if len(self.values) != len(self.t):
            raise invalid("values", f"{len(self.values)} values for {len(self.t)} times")
        self.sigma = None if sigma is None else as_floats(sigma, "sigma")
        if self.sigma is not None:
            self._check_sigma(self.sigma)

    def _check_sigma(self, sigma: FloatArray) -> None:
        if not np.all(sigma > 0):
            raise invalid("sigma", "standard deviations are positive")
        try:
            np.broadcast_to(sigma, self.values.shape)
        except ValueError:
            raise invalid(
                "sigma",
                f"shape {list(sigma.shape)} does not fit values {list(self.values.shape)}",
            ) from None

    @property
    def channel(self) -> str:
        """Name of what was observed."""
        return self.output if self.output is not None else str(self.state)

    @property
    def times(self) -> FloatArray:
        return self.t

    def __repr__(self) -> str:
        return f"LeastSquares({self.channel}, {len(self.t)} times)"

    def _term_messages(self, info: ModelInfo | None) -> list[Any]:
        field = "output" if self.output is not None else "state"
        sigma = None if self.sigma is None else np.broadcast_to(self.sigma, self.values.shape)
        messages = []
        for index in np.ndindex(*self.values.shape[1:]):
            column = (slice(None), *index)
            name = self.channel + (f"[{','.join(map(str, index))}]" if index else "")
            squares: dict[str, Any] = {
                field: name,
                "times": to_proto(self.t),
                "values": to_proto(self.values[column]),
                "half": self.half,
            }
            if sigma is not None:
                squares["sigma"] = to_proto(sigma[column])
            messages.append(_LossTerm(least_squares=squares))
        return messages


class Linear(_Term):
    """sum over times of weights . y(t): constant cotangents of saved values.

    Parameters
    ----------
    t
        [K] times within the span of the solve.
    states, outputs
        Weights by name: [K] + shape of the tensor, or what broadcasts to it. What is not named
        has weight zero.
    """

    def __init__(
        self,
        *,
        t: npt.ArrayLike,
        states: Weights | None = None,
        outputs: Weights | None = None,
    ) -> None:
        super().__init__()
        self.t = as_vector(t, "t")
        self.states, self.outputs = dict(states or {}), dict(outputs or {})

    needs_layout = True

    @property
    def times(self) -> FloatArray:
        return self.t

    def __repr__(self) -> str:
        names = ", ".join([*self.states, *self.outputs])
        return f"Linear({names or 'nothing'}, {len(self.t)} times)"

    def _term_messages(self, info: ModelInfo | None) -> list[Any]:
        return [
            _LossTerm(
                linear={
                    "times": to_proto(self.t),
                    **_weights(info, self.states, self.outputs, (len(self.t),)),
                }
            )
        ]


class Terminal(_Term):
    """weights . y(t1); unlike in `Linear`, the time moves with t1 when it is differentiated.

    Parameters
    ----------
    states, outputs
        Weights by name, of the tensor's shape or a scalar. What is not named has weight zero.
    """

    needs_layout = True

    def __init__(self, *, states: Weights | None = None, outputs: Weights | None = None) -> None:
        super().__init__()
        self.states, self.outputs = dict(states or {}), dict(outputs or {})

    @property
    def times(self) -> FloatArray:
        return np.empty(0)

    def __repr__(self) -> str:
        return f"Terminal({', '.join([*self.states, *self.outputs]) or 'nothing'})"

    def _term_messages(self, info: ModelInfo | None) -> list[Any]:
        return [_LossTerm(terminal=_weights(info, self.states, self.outputs, ()))]


class Integral(_Term):
    """The integral of an expression over the span of the solve: a running loss.

    It is solved along with the model, under its error control.

    Parameters
    ----------
    integrand
        A scalar expression in the model language: states, outputs and parameters of the
        model, and t.

    Examples
    --------
    >>> loss = costate.Integral("(in_bed - 100)^2 + 0.1*b^2")
    """

    needs_layout = False

    def __init__(self, integrand: str) -> None:
        super().__init__()
        self.integrand = _text(integrand, "integrand")

    @property
    def times(self) -> FloatArray:
        return np.empty(0)

    def __repr__(self) -> str:
        return f"Integral({self.integrand!r})"

    def _term_messages(self, info: ModelInfo | None) -> list[Any]:
        return [_LossTerm(integral={"integrand": self.integrand})]


class Expression(_Term):
    """Any scalar expression of saved values, in the model language.

    Parameters
    ----------
    text
        States and outputs stand for their values at the times, with a leading axis [K]; t for
        the times; parameters and `data` for themselves.
    t
        [K] times within the span of the solve, in any order.
    data
        Further names, with scalars or arrays.

    Examples
    --------
    >>> loss = costate.Expression(
    ...     "sum((log(in_bed) - log(counts))^2)", t=days, data={"counts": counts}
    ... )
    """

    needs_layout = False

    def __init__(
        self, text: str, *, t: npt.ArrayLike, data: Mapping[str, npt.ArrayLike] | None = None
    ) -> None:
        super().__init__()
        self.text = _text(text, "text")
        self.t = as_vector(t, "t")
        if not self.t.size:
            raise invalid("t", "no times to look at")
        self._data = named_arrays(data, "data")

    @property
    def times(self) -> FloatArray:
        return self.t

    def __repr__(self) -> str:
        return f"Expression({self.text!r}, {len(self.t)} times)"

    def _term_messages(self, info: ModelInfo | None) -> list[Any]:
        return [
            _LossTerm(expression={"text": self.text, "times": to_proto(self.t), "data": self._data})
        ]


def _text(text: str, field: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{field}: expected an expression as text, not {type(text).__name__}")
    if not text.strip():
        raise invalid(field, "the expression is empty")
    return text


def _weights(
    info: ModelInfo | None, states: Weights, outputs: Weights, leading: tuple[int, ...]
) -> dict[str, Any]:
    assert info is not None
    found = {}
    if states:
        flat = info.state_layout.flatten(states, "states", leading=leading)
        found["state_weights"] = to_proto(flat)
    if outputs:
        flat = info.output_layout.flatten(outputs, "outputs", leading=leading)
        found["output_weights"] = to_proto(flat)
    return found


def loss_to_proto(loss: Loss, info: ModelInfo | None) -> Any:
    """Builds a Loss message; `info` is needed where `loss.needs_layout`."""
    if not isinstance(loss, Loss):
        raise TypeError(f"expected a costate loss, not {type(loss).__name__}")
    return _Loss(terms=loss._term_messages(info))
