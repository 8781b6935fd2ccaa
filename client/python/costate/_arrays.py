"""Arrays and named tensors between NumPy and the wire."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from costate import _proto
from costate._names import unknown_name
from costate.errors import InvalidRequest, ServerError, UnknownName, Violation

FloatArray = npt.NDArray[np.float64]

_Array = _proto.message("Array")
_NamedArray = _proto.message("NamedArray")
_RAW = "<f8"


def invalid(field: str, description: str) -> InvalidRequest:
    """An error found before the call was made."""
    return InvalidRequest(f"{field}: {description}", violations=[Violation(field, description)])


def as_floats(value: npt.ArrayLike, field: str) -> FloatArray:
    """Converts to doubles, keeping the shape; refuses what is not real numbers."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            # Complex, text, ragged lists and dates must not be converted in silence.
            raise TypeError(f"expected real numbers, not {array.dtype}")
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise invalid(field, str(error)) from None


def as_vector(value: npt.ArrayLike, field: str) -> FloatArray:
    """Converts to doubles of shape [N]; a scalar becomes [1]."""
    array = as_floats(value, field)
    if array.ndim > 1:
        raise invalid(field, f"expected a scalar or a vector, not shape {list(array.shape)}")
    return array.reshape(-1)


def whole(value: Any, field: str, unit: str = "", *, least: int = 1) -> int:
    """Converts what counts something; 64e6 is as good as 64_000_000, 1.5 is refused."""
    try:
        number = int(value)
        right = number == value and least <= number < 2**63
    except (TypeError, ValueError, OverflowError):
        right = False
    if not right:
        kind = f"of {unit} " if unit else ""
        raise invalid(field, f"{value!r} is no whole number {kind}from {least} to 2^63 - 1")
    return number


def to_proto(array: FloatArray) -> Any:
    """Converts doubles of any shape to an Array."""
    if array.ndim == 0:
        # The only form of a scalar: bytes without a shape are a vector of one.
        return _Array(values=[float(array)])
    return _Array(shape=array.shape, data=np.ascontiguousarray(array, dtype=_RAW).tobytes())


def from_proto(message: Any) -> FloatArray:
    """Converts an Array; the result is writable and owns its memory."""
    if message.data:
        flat = np.frombuffer(message.data, dtype=_RAW).astype(np.float64)
    else:
        flat = np.array(message.values, dtype=np.float64)
    if not message.shape:
        return flat.reshape(()) if len(message.values) == 1 else flat
    try:
        return flat.reshape(tuple(message.shape))
    except ValueError:
        raise ServerError(
            f"the server sent {flat.size} elements for shape {list(message.shape)}"
        ) from None


def named_arrays(values: Mapping[str, npt.ArrayLike] | None, field: str) -> list[Any]:
    """Converts {name: tensor or batch of tensors} to NamedArrays."""
    if values is None:
        return []
    if not isinstance(values, Mapping):
        raise invalid(field, "expected a mapping from names to values")
    return [
        _NamedArray(name=name, array=to_proto(as_floats(value, f"{field}[{name!r}]")))
        for name, value in values.items()
    ]


class Slot(NamedTuple):
    """Where a tensor stands in a flat vector."""

    name: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


_INDEXED = re.compile(r"\s*(\w+)\s*\[([\d\s,]+)\]\s*\Z")


class Layout:
    """The named tensors of a flat vector, in order.

    Parameters
    ----------
    slots
        Consecutive: each starts where the one before ends.
    """

    def __init__(self, slots: Iterable[Slot]) -> None:
        self.slots = tuple(slots)
        self._by_name = {slot.name: slot for slot in self.slots}
        self.size = sum(slot.size for slot in self.slots)

    @classmethod
    def from_proto(cls, layouts: Iterable[Any]) -> Layout:
        return cls(Slot(entry.name, tuple(entry.shape), entry.offset) for entry in layouts)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Slot:
        return self._by_name[name]

    def __iter__(self) -> Iterator[Slot]:
        return iter(self.slots)

    def element_names(self) -> list[str]:
        """One name per element: "v", "y[0]", "W[0,1]"."""
        names = []
        for slot in self.slots:
            for index in np.ndindex(*slot.shape):
                names.append(slot.name + (f"[{','.join(map(str, index))}]" if index else ""))
        return names

    def find(self, name: str) -> tuple[slice, tuple[int, ...]] | None:
        """Elements and shape of a tensor "W" or of one element "W[0,1]"; None if unknown."""
        slot = self._by_name.get(name)
        if slot is not None:
            return slice(slot.offset, slot.offset + slot.size), slot.shape
        match = _INDEXED.match(name)
        if match is None or match[1] not in self._by_name:
            return None
        slot = self._by_name[match[1]]
        index = tuple(int(part) for part in match[2].split(","))
        if len(index) != len(slot.shape) or any(i >= n for i, n in zip(index, slot.shape)):
            return None
        at = slot.offset + int(np.ravel_multi_index(index, slot.shape))
        return slice(at, at + 1), ()

    def pick(self, flat: FloatArray, name: str, *, axis: int = -1) -> FloatArray:
        """Takes the named tensor out of `flat`, whose `axis` is the flat vector."""
        found = self.find(name)
        if found is None:
            raise UnknownName(unknown_name(name, self.names))
        where, shape = found
        axis = axis % flat.ndim
        taken = flat[(slice(None),) * axis + (where,)]
        return taken.reshape(flat.shape[:axis] + shape + flat.shape[axis + 1 :])

    def flatten(
        self,
        values: Mapping[str, npt.ArrayLike],
        field: str,
        *,
        leading: tuple[int, ...] = (),
        fill: float = 0.0,
    ) -> FloatArray:
        """Puts {name: leading + shape} into one array of shape leading + [size].

        Values may also have just the tensor's shape, or be scalars: they are repeated.
        """
        flat = np.full((*leading, self.size), fill)
        for name, value in values.items():
            found = self.find(name)
            if found is None:
                raise invalid(field, unknown_name(name, self.names))
            where, shape = found
            array = as_floats(value, f"{field}[{name!r}]")
            try:
                tensor = np.broadcast_to(array, (*leading, *shape))
            except ValueError:
                raise invalid(
                    f"{field}[{name!r}]",
                    f"shape {list(array.shape)} where {[*leading, *shape]} is expected",
                ) from None
            flat[..., where] = tensor.reshape(*leading, -1)
        return flat


class Tensors(Mapping[str, FloatArray]):
    """Named views into an array one axis of which is a flat vector of tensors.

    ``tensors["W"]`` has the tensor's shape in the place of that axis; ``tensors["W[0,1]"]`` is
    one element.
    """

    def __init__(self, flat: FloatArray, layout: Layout, *, axis: int = -1) -> None:
        self.flat = flat
        self.layout = layout
        self._axis = axis

    def __getitem__(self, name: str) -> FloatArray:
        return self.layout.pick(self.flat, name, axis=self._axis)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.layout.find(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.layout.names)

    def __len__(self) -> int:
        return len(self.layout.slots)

    def __repr__(self) -> str:
        entries = ", ".join(f"{name}: {list(self[name].shape)}" for name in self)
        return f"<{entries or 'empty'}>"
