"""The parts of a fitting problem: data, conditions, free parameters, priors."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import numpy.typing as npt

from costate import _proto
from costate._arrays import FloatArray, as_floats, as_vector, invalid, named_arrays, to_proto
from costate._names import unknown_name
from costate._options import EnumNames

if TYPE_CHECKING:
    from costate._model import ModelInfo

_Condition = _proto.message("Condition")
_DataSeries = _proto.message("DataSeries")
_FreeParameter = _proto.message("FreeParameter")
_Prior = _proto.message("Prior")

NOISE_MODELS = EnumNames("NoiseModel", "NOISE_MODEL_")
SCALES = EnumNames("ParameterScale", "PARAMETER_SCALE_")
PRIORS = EnumNames("PriorDistribution", "PRIOR_DISTRIBUTION_")

# What differs in an experiment, by name of a parameter, a state, "t0" or "t1".
Overrides = Mapping[str, npt.ArrayLike]
_LONGEST_NAME = 48


@dataclasses.dataclass(frozen=True, eq=False)
class Condition:
    """What differs in one experiment from the simulation of a fit.

    Attributes
    ----------
    params, y0
        Values of parameters and initial states in place of those of the simulation.
    t
        (t0, t1) in place of the span of the simulation; either may be None, which leaves it.
    """

    params: Mapping[str, npt.ArrayLike] | None = None
    y0: Mapping[str, npt.ArrayLike] | None = None
    t: tuple[float | None, float | None] | None = None


ConditionLike = Union[Condition, Overrides]


class Data:
    """Measurements of one output or state, and how they scatter about the model.

    Parameters
    ----------
    condition
        The experiment: a name of the argument `conditions` of a fit, or what differs in it, as
        ``{"b": 2.0, "i": 5.0}`` by names of parameters, states (meaning their initial values),
        "t0" and "t1". Equal mappings are the same experiment. Default: the simulation as it is.
    output, state
        What was observed: exactly one of the two; a name, or an element such as "y[1]". A whole
        tensor where `values` has its shape after the axis of times.
    t
        [N] times within the span of the experiment, in any order, repeats allowed.
    values
        [N] (or [N] + shape of the tensor) measurements; NaN marks a missing one and needs
        `allow_missing`.
    sigma
        Scale of the noise, > 0: a scalar or the shape of `values`. In the unit of the values, or
        of their logarithms where `noise` is of those. Default: one value is estimated.
    noise
        "gaussian" (default), "log_normal", "laplace" or "log_laplace". The model's value is the
        median.
    allow_missing
        Whether values may be NaN. Default False.
    estimate_scale, estimate_offset
        Estimate a factor and an offset between model and data: the model's value becomes
        ``scale * output + offset``. Default False.
    weight
        Of these data in the objective, >= 0. Default 1.
    group
        Data of the same group share their estimated sigma, scale and offset, which are then
        called "sigma(group)" and so on. Default: nothing is shared, and the group is called as
        the output.

    Examples
    --------
    >>> costate.Data(output="in_bed", t=days, values=counts)
    >>> costate.Data(condition={"dose": 2.0}, state="y", t=t, values=y, sigma=0.1)
    """

    def __init__(
        self,
        condition: str | Overrides | None = None,
        *,
        output: str | None = None,
        state: str | None = None,
        t: npt.ArrayLike,
        values: npt.ArrayLike,
        sigma: npt.ArrayLike | None = None,
        noise: str = "gaussian",
        allow_missing: bool = False,
        estimate_scale: bool = False,
        estimate_offset: bool = False,
        weight: float | None = None,
        group: str | None = None,
    ) -> None:
        if (output is None) == (state is None):
            raise ValueError("give exactly one of output and state")
        if condition is not None and not isinstance(condition, (str, Mapping)):
            raise invalid("condition", "expected a name, or a mapping from names to values")
        self.condition = condition
        self.output, self.state = output, state
        self.t = as_vector(t, "t")
        self.values = np.atleast_1d(as_floats(values, "values"))
        if len(self.values) != len(self.t):
            raise invalid("values", f"{len(self.values)} values for {len(self.t)} times")
        self.allow_missing = bool(allow_missing)
        missing = int(np.count_nonzero(np.isnan(self.values)))
        if missing and not self.allow_missing:
            raise invalid(
                "values", f"{missing} of {self.values.size} are NaN; say allow_missing=True"
            )
        self.sigma = None if sigma is None else self._checked_sigma(as_floats(sigma, "sigma"))
        self.noise = noise
        self._noise = NOISE_MODELS.number(noise, "noise")
        self.estimate_scale, self.estimate_offset = bool(estimate_scale), bool(estimate_offset)
        self.weight = None if weight is None else float(weight)
        self.group = group or ""

    def _checked_sigma(self, sigma: FloatArray) -> FloatArray:
        if not np.all(sigma > 0):
            raise invalid("sigma", "the scale of noise is positive")
        try:
            np.broadcast_to(sigma, self.values.shape)
        except ValueError:
            raise invalid(
                "sigma",
                f"shape {list(sigma.shape)} does not fit values {list(self.values.shape)}",
            ) from None
        return sigma

    @property
    def channel(self) -> str:
        """Name of what was observed."""
        return self.output if self.output is not None else str(self.state)

    def __repr__(self) -> str:
        where = "" if self.condition is None else f", condition {self.condition!r}"
        return f"<costate.Data {self.channel}, {len(self.t)} times{where}>"

    def _messages(self, condition: str) -> Iterator[Any]:
        """A DataSeries for each element of the tensor."""
        kind = "output" if self.output is not None else "state"
        sigma = self.sigma
        if sigma is not None and sigma.ndim:
            sigma = np.broadcast_to(sigma, self.values.shape)
        for index in np.ndindex(*self.values.shape[1:]):
            column = (slice(None), *index)
            series = _DataSeries(
                condition=condition,
                times=to_proto(self.t),
                values=to_proto(self.values[column]),
                allow_missing=self.allow_missing,
                noise=self._noise,
                estimate_scale=self.estimate_scale,
                estimate_offset=self.estimate_offset,
                group=self.group,
            )
            element = f"[{','.join(map(str, index))}]" if index else ""
            setattr(series, kind, self.channel + element)
            if sigma is not None:
                series.sigma.CopyFrom(to_proto(sigma[column] if sigma.ndim else sigma))
            if self.weight is not None:
                series.weight = self.weight
            yield series


@dataclasses.dataclass(frozen=True)
class Prior:
    """What is known of a parameter before the data.

    Attributes
    ----------
    distribution
        "normal" (mean a, standard deviation b), "laplace" and "cauchy" (location a, scale b),
        "log_normal" and "log_laplace" (the same of the logarithm), "gamma" (shape a, scale b),
        "exponential" and "rayleigh" (scale a), "chi_squared" (degrees of freedom a), "uniform"
        and "log_uniform" (between the bounds).
    a, b
        Its two figures, as far as it has them.
    scaled
        The distribution is that of the coordinate in which the parameter is searched, of log10(k)
        for instance, instead of the value itself. Default False.
    """

    distribution: str
    a: float = 0.0
    b: float = 0.0
    scaled: bool = False

    def _message(self, field: str) -> Any:
        return _Prior(
            distribution=PRIORS.number(self.distribution, f"{field}.distribution"),
            a=float(self.a),
            b=float(self.b),
            scaled=bool(self.scaled),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Free:
    """A parameter or an initial state to estimate.

    Attributes
    ----------
    start
        Where to begin: the shape of what is named, or one value for all of its elements.
        Default: the value it has in the simulation.
    bounds
        (lower, upper); either may be None. Default: the bounds the model declares.
    scale
        In which coordinate it is searched: "linear" (default), "log" or "log10" for what is
        positive, "logit" for what lies between two bounds and never on them.
    prior
        A `Prior`. Default: none.
    per_condition
        Conditions that have a value of their own, called "name@condition"; True for all. Default:
        one value, shared.
    """

    start: npt.ArrayLike | None = None
    bounds: tuple[float | None, float | None] | None = None
    scale: str = "linear"
    prior: Prior | None = None
    per_condition: bool | Sequence[str | Overrides] = False

    def _message(self, name: str, conditions: Conditions) -> Any:
        field = f"parameters[{name!r}]"
        free = _FreeParameter(name=name, scale=SCALES.number(self.scale, f"{field}.scale"))
        if self.start is not None:
            free.start.CopyFrom(to_proto(as_floats(self.start, f"{field}.start")))
        if self.bounds is not None:
            try:
                lower, upper = self.bounds
            except (TypeError, ValueError):
                raise invalid(f"{field}.bounds", "expected (lower, upper)") from None
            if lower is not None:
                free.lower = _number(lower, f"{field}.bounds[0]")
            if upper is not None:
                free.upper = _number(upper, f"{field}.bounds[1]")
        if self.prior is not None:
            if not isinstance(self.prior, Prior):
                raise TypeError(
                    f"{field}.prior: expected a costate.Prior, not {type(self.prior).__name__}"
                )
            free.prior.CopyFrom(self.prior._message(f"{field}.prior"))
        free.per_condition.extend(self._own_conditions(field, conditions))
        return free

    def _own_conditions(self, field: str, conditions: Conditions) -> list[str]:
        given = self.per_condition
        if isinstance(given, (bool, np.bool_)):
            return conditions.names if given else []
        if isinstance(given, (str, Mapping)):
            given = [given]
        return [conditions.find(one, f"{field}.per_condition") for one in given]


FreeLike = Union[Free, float, None]
Parameters = Union[Mapping[str, FreeLike], Sequence[str]]


def free_to_proto(parameters: Parameters, conditions: Conditions) -> list[Any]:
    """Converts what is to be estimated; a number is where to begin, a list is of names."""
    if isinstance(parameters, str):
        parameters = [parameters]
    if not isinstance(parameters, Mapping):
        parameters = dict.fromkeys(parameters)
    if not parameters:
        raise invalid("parameters", "name at least one to estimate")
    found = []
    for name, free in parameters.items():
        if not isinstance(free, Free):
            free = Free(free)
        found.append(free._message(name, conditions))
    return found


class Conditions:
    """The experiments of a fit: those with names, and those that data describe themselves.

    Parameters
    ----------
    named
        The argument `conditions`.
    data
        Whose conditions join them.
    info
        Of the model; needed where `needs_info`.
    """

    def __init__(
        self,
        named: Mapping[str, ConditionLike] | None,
        data: Sequence[Data],
        info: ModelInfo | None,
    ) -> None:
        self._info = info
        self._messages: dict[str, Any] = {}
        self._keys: dict[Any, str] = {}
        self._plain = ""
        if named is not None and not isinstance(named, Mapping):
            raise invalid("conditions", "expected a mapping from names to conditions")
        for name, condition in (named or {}).items():
            self._add(str(name), condition, f"conditions[{name!r}]")
        self._num_named = len(self._messages)
        for index, series in enumerate(data):
            if isinstance(series.condition, Mapping):
                self._own(series.condition, f"data[{index}].condition")
        without = [index for index, series in enumerate(data) if series.condition is None]
        if without and self._messages:
            self._settle_plain(without[0])

    @staticmethod
    def needs_info(named: Mapping[str, ConditionLike] | None, data: Sequence[Data]) -> bool:
        """Whether states must be told from parameters."""
        given: list[Any] = [*named.values()] if isinstance(named, Mapping) else []
        given += [series.condition for series in data]
        return any(isinstance(one, Mapping) and len(one) for one in given)

    @property
    def names(self) -> list[str]:
        """Of all, in order; empty for the single one without a name."""
        return list(self._messages)

    @property
    def messages(self) -> list[Any]:
        """A Condition for each."""
        return list(self._messages.values())

    def find(self, condition: str | Overrides | None, field: str) -> str:
        """The name of a condition that data or parameters refer to."""
        if condition is None:
            return self._plain
        if isinstance(condition, Mapping):
            key = _key(condition, field)
            if key not in self._keys:
                raise invalid(field, f"{dict(condition)!r} is no condition of the data")
            return self._keys[key]
        if condition not in self._messages:
            raise invalid(field, unknown_name(condition, self._messages))
        return condition

    def _settle_plain(self, index: int) -> None:
        """Data without a condition are of the only one, or of the simulation as it is."""
        if self._num_named > 1:
            raise invalid(
                f"data[{index}].condition", f"name one of {', '.join(map(repr, self.names))}"
            )
        if self._num_named == 1 and len(self._messages) == 1:
            self._plain = self.names[0]
        else:
            self._plain = self._own({}, f"data[{index}].condition")

    def _own(self, overrides: Overrides, field: str) -> str:
        key = _key(overrides, field)
        if key not in self._keys:
            name, number = _derived_name(overrides), len(self._messages)
            while not name or name in self._messages:
                number += 1
                name = f"condition {number}"
            self._keys[key] = name
            self._add(name, overrides, field)
        return self._keys[key]

    def _add(self, name: str, condition: ConditionLike, field: str) -> None:
        if isinstance(condition, Mapping):
            condition = self._sorted_out(condition, field)
        if not isinstance(condition, Condition):
            raise TypeError(
                f"{field}: expected a costate.Condition or a mapping, "
                f"not {type(condition).__name__}"
            )
        message = _Condition(
            name=name,
            params=named_arrays(condition.params, f"{field}.params"),
            initial_state=named_arrays(condition.y0, f"{field}.y0"),
        )
        if condition.t is not None:
            try:
                start, end = condition.t
            except (TypeError, ValueError):
                raise invalid(f"{field}.t", "expected (t0, t1)") from None
            if start is not None:
                message.t0 = _number(start, f"{field}.t[0]")
            if end is not None:
                message.t1 = _number(end, f"{field}.t[1]")
        self._messages[name] = message

    def _sorted_out(self, overrides: Overrides, field: str) -> Condition:
        params: dict[str, npt.ArrayLike] = {}
        states: dict[str, npt.ArrayLike] = {}
        span: dict[str, Any] = {}
        for name, value in overrides.items():
            base = str(name).partition("[")[0].strip()
            if name in ("t0", "t1"):
                span[name] = value
                continue
            assert self._info is not None
            if base in self._info.params:
                params[name] = value
            elif base in self._info.states:
                states[name] = value
            else:
                known = [*self._info.params, *self._info.states, "t0", "t1"]
                raise invalid(field, unknown_name(name, known))
        t = (span.get("t0"), span.get("t1")) if span else None
        return Condition(params, states, t)


def last_time_of(data: Sequence[Data], conditions: Conditions) -> float:
    """The end of the default span: that of all data whose condition has no end of its own."""
    own = {m.name for m in conditions.messages if m.HasField("t1")}
    ends = [
        float(series.t[np.argmax(np.abs(series.t))])
        for index, series in enumerate(data)
        if len(series.t) and conditions.find(series.condition, f"data[{index}]") not in own
    ]
    finite = [end for end in ends if math.isfinite(end)]
    return max(finite, key=abs, default=1.0) or 1.0


def _number(value: Any, field: str) -> float:
    array = as_floats(value, field)
    if array.ndim:
        raise invalid(field, f"expected a number, not shape {list(array.shape)}")
    return float(array)


def _key(overrides: Overrides, field: str) -> Any:
    """Equal for equal mappings, whatever their order."""
    entries = []
    for name, value in overrides.items():
        array = as_floats(value, f"{field}[{name!r}]") + 0.0  # No negative zeros.
        entries.append((str(name), array.shape, array.tobytes()))
    return tuple(sorted(entries))


def _derived_name(overrides: Overrides) -> str:
    """ "b=2,i=5" for a few numbers, "base" for none; empty where that would be unwieldy."""
    parts = []
    for name, value in overrides.items():
        array = np.asarray(value)
        if array.ndim:
            return ""
        parts.append(f"{name}={float(array):g}")
    text = ",".join(parts) or "base"
    return text if len(text) <= _LONGEST_NAME else ""
