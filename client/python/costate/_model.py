"""Models as the client sees them: a text, a graph or a name, and what a server says of them."""

from __future__ import annotations

import dataclasses
import datetime
import html
import os
import re
from collections.abc import Mapping
from typing import Any, Union

import numpy as np

from costate import _proto
from costate._arrays import FloatArray, Layout, from_proto, invalid

_ModelSource = _proto.message("ModelSource")
_Graph = _proto.message("Graph")

# Every model has an equation, y' = ...; names have neither.
_MARKS_OF_TEXT = ("'", "\n")
_NAME_LINE = re.compile(r"^\s*model\s+(\w+)", re.MULTILINE)


class Model:
    """A system of ordinary differential equations, as data.

    Light and immutable: nothing is parsed here. The server judges the text at the first call
    that uses it and raises `costate.ModelError` with every issue; `client.describe(model)` asks
    for that alone.

    Parameters
    ----------
    text
        The model language; a grammar stands in engine/model/grammar.md.

    Examples
    --------
    >>> model = costate.Model('''
    ... model decay
    ... param k = 0.5
    ... state y = 1
    ... y' = -k*y
    ... ''')
    """

    __slots__ = ("_graph", "_key", "_text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(
                f"expected the text of a model, not {type(text).__name__}; "
                "Model.from_file reads a file, Model.from_graph takes a graph"
            )
        self._text: str | None = text
        self._graph: bytes | None = None
        self._key: tuple[str, object] = ("text", text)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Model:
        """Reads the text of a model, UTF-8."""
        with open(path, encoding="utf-8") as file:
            return cls(file.read())

    @classmethod
    def from_graph(cls, graph: bytes) -> Model:
        """A model as instructions, for programs that trace functions of their own.

        Parameters
        ----------
        graph
            A serialized ``costate.v1.Graph`` message (proto/costate/v1/model.proto).
        """
        _Graph.FromString(graph)  # Not a Graph: fail here, where the caller can see it.
        model = cls("")
        model._text, model._graph = None, bytes(graph)
        model._key = ("graph", model._graph)
        return model

    @property
    def text(self) -> str | None:
        """The text, or None for a model made from a graph."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, Model) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._graph is not None:
            return Model.from_graph, (self._graph,)
        return Model, (self._text,)

    def __repr__(self) -> str:
        if self._graph is not None:
            name = _Graph.FromString(self._graph).display_name
            return f"<costate.Model {name or 'without a name'}, a graph>"
        assert self._text is not None
        match = _NAME_LINE.search(self._text)
        lines = len(self._text.strip().splitlines())
        name = match[1] if match else "without a name"
        return f"<costate.Model {name}, {lines} line{'s' if lines != 1 else ''}>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self._text.strip() if self._text else repr(self))}</pre>"


@dataclasses.dataclass(frozen=True, eq=False)
class ParameterInfo:
    """A parameter as declared.

    Attributes
    ----------
    name
        Identifier.
    shape
        Extents, empty for a scalar.
    default
        [shape] Value where a call gives none.
    lower, upper
        Inclusive bounds of every element, None where there is none.
    """

    name: str
    shape: tuple[int, ...]
    default: FloatArray
    lower: float | None
    upper: float | None


@dataclasses.dataclass(frozen=True, eq=False)
class ModelInfo:
    """What a server says of a model. May stand wherever a call takes a model: one that is
    registered goes by its name, one that is only described goes along whole.

    Attributes
    ----------
    name
        Resource name, "models/" and 32 hex digits: a hash of the content.
    display_name
        The name given in the text, may be empty.
    params
        Parameters by name, in order of declaration.
    states, outputs
        Shapes by name, in order of declaration.
    create_time
        When the server registered it; None for one that is only described.
    """

    name: str
    display_name: str
    params: Mapping[str, ParameterInfo]
    states: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    create_time: datetime.datetime | None
    state_layout: Layout = dataclasses.field(repr=False)
    output_layout: Layout = dataclasses.field(repr=False)
    # What was described, where the server does not keep it.
    _inline: Model | str | None = dataclasses.field(default=None, repr=False)

    def shape_of(self, name: str) -> tuple[int, ...] | None:
        """Shape of what `wrt` may name: a parameter, a state, "t0" or "t1"; else None."""
        if name in self.params:
            return self.params[name].shape
        if name in self.states:
            return self.states[name]
        return () if name in ("t0", "t1") else None

    def __repr__(self) -> str:
        def names(shapes: Mapping[str, tuple[int, ...]]) -> str:
            return ", ".join(
                name + (f"[{', '.join(map(str, shape))}]" if shape else "")
                for name, shape in shapes.items()
            )

        params = names({name: info.shape for name, info in self.params.items()})
        return (
            f"<costate.ModelInfo {self.display_name or self.name}: states {names(self.states)}; "
            f"params {params or 'none'}; outputs {names(self.outputs) or 'none'}>"
        )

    def _repr_html_(self) -> str:
        def row(kind: str, name: str, shape: tuple[int, ...], value: str = "") -> str:
            size = " x ".join(map(str, shape)) or "scalar"
            cells = "".join(f"<td>{html.escape(c)}</td>" for c in (kind, name, size, value))
            return f"<tr>{cells}</tr>"

        rows = [
            row("param", p.name, p.shape, f"{p.default.flat[0]:g}" if p.default.size == 1 else "")
            for p in self.params.values()
        ]
        rows += [row("state", name, shape) for name, shape in self.states.items()]
        rows += [row("output", name, shape) for name, shape in self.outputs.items()]
        head = "".join(f"<th>{c}</th>" for c in ("kind", "name", "shape", "default"))
        title = html.escape(self.display_name or self.name)
        return f"<table><caption>{title}</caption><tr>{head}</tr>{''.join(rows)}</table>"


ModelLike = Union[Model, ModelInfo, str]


def source_of(model: ModelLike) -> Any:
    """The ModelSource message: text and graphs go along inline, the rest by name."""
    if isinstance(model, ModelInfo):
        return _ModelSource(name=model.name) if model._inline is None else source_of(model._inline)
    if isinstance(model, str):
        if any(mark in model for mark in _MARKS_OF_TEXT):
            return _ModelSource(text=model)
        if not model.startswith("models/"):
            raise invalid(
                "model",
                f"{model!r} is neither the text of a model nor the name of a registered one, "
                "'models/...'; a file is read by costate.Model.from_file(path)",
            )
        return _ModelSource(name=model)
    if not isinstance(model, Model):
        raise TypeError(f"expected a costate.Model, not {type(model).__name__}")
    if model._graph is not None:
        return _ModelSource(graph=_Graph.FromString(model._graph))
    return _ModelSource(text=model._text)


def info_from_proto(model: Any, inline: Model | str | None = None) -> ModelInfo:
    """Converts a Model message; `inline` is the model itself where the server only looked at it."""
    states = Layout.from_proto(model.states)
    outputs = Layout.from_proto(model.outputs)
    created = model.HasField("create_time")
    return ModelInfo(
        name=model.name,
        display_name=model.display_name,
        params={entry.name: _parameter_from_proto(entry) for entry in model.params},
        states={slot.name: slot.shape for slot in states},
        outputs={slot.name: slot.shape for slot in outputs},
        create_time=model.create_time.ToDatetime(datetime.timezone.utc) if created else None,
        state_layout=states,
        output_layout=outputs,
        _inline=inline,
    )


def _parameter_from_proto(entry: Any) -> ParameterInfo:
    shape = tuple(entry.shape)
    # One element is repeated, none means zero.
    given = from_proto(entry.default_value).reshape(-1)
    if given.size <= 1:
        default = np.full(shape, given[0] if given.size else 0.0)
    else:
        default = given.reshape(shape)
    return ParameterInfo(
        name=entry.name,
        shape=shape,
        default=default,
        lower=entry.lower if entry.HasField("lower") else None,
        upper=entry.upper if entry.HasField("upper") else None,
    )
