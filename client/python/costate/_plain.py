"""Answers as plain values, for files that other programs read."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from costate import _proto
from costate._arrays import from_proto

_ARRAY = _proto.message("Array").DESCRIPTOR.full_name
_TIMES = ("google.protobuf.Timestamp", "google.protobuf.Duration")


def plain_message(message: Any) -> Any:
    """A message as dicts, lists and arrays, under the names of the proto files."""
    kind = message.DESCRIPTOR.full_name
    if kind == _ARRAY:
        return from_proto(message)
    if kind in _TIMES:
        return message.ToJsonString()
    return {field.name: _plain_field(field, value) for field, value in message.ListFields()}


def _plain_field(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        if _is_repeated(field):
            return [plain_message(one) for one in value]
        return plain_message(value)
    if field.enum_type is not None:
        names = {entry.number: entry.name for entry in field.enum_type.values}
        if _is_repeated(field):
            return [names.get(one, one) for one in value]
        return names.get(value, value)
    return list(value) if _is_repeated(field) else value


def _is_repeated(field: Any) -> bool:
    found = getattr(field, "is_repeated", None)  # protobuf before 6.31 has `label` alone
    return bool(found) if found is not None else bool(field.label == field.LABEL_REPEATED)


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """JSON that every reader takes: what is not finite becomes null."""
    return json.dumps(_json_value(value), indent=indent, allow_nan=False)


def _json_value(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _json_value(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(name): _json_value(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_value(one) for one in value]
    if isinstance(value, np.ndarray):
        return _json_value(value.tolist())
    if isinstance(value, np.generic):
        return _json_value(value.item())
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def flat_arrays(value: Any) -> dict[str, Any]:
    """Arrays by path, as "starts.0.trace", for NumPy's npz files."""
    found: dict[str, Any] = {}
    _flatten(value, "", found)
    return found


def _flatten(value: Any, path: str, found: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for name, one in value.items():
            _flatten(one, f"{path}.{name}" if path else str(name), found)
    elif isinstance(value, (list, tuple)) and any(
        isinstance(one, (Mapping, list, tuple, np.ndarray)) for one in value
    ):
        for index, one in enumerate(value):
            _flatten(one, f"{path}.{index}" if path else str(index), found)
    elif isinstance(value, datetime.datetime):
        found[path] = np.array(value.isoformat())
    elif value is not None:
        found[path] = np.asarray(value)
