"""The messages and services of the wire, made from compiled descriptors.

The descriptors live in a pool of their own, so that code generated elsewhere for the package
costate.v1 can be loaded into the same process, and no module named after the proto package is
put among the importable ones.
"""

from __future__ import annotations

import importlib.resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "costate.v1"


def _load_pool() -> descriptor_pool.DescriptorPool:
    source = importlib.resources.files(__name__) / "costate.binpb"
    try:
        data = source.read_bytes()
    except FileNotFoundError:
        raise ImportError(
            "costate/_proto/costate.binpb is missing: the package was not built. "
            "Run: pip install ./client/python (add --editable to work on the client itself)"
        ) from None
    pool = descriptor_pool.DescriptorPool()
    # Imported files stand before those that import them.
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_pool = _load_pool()


def message(name: str) -> Any:
    """Returns the class of the message costate.v1.`name`; nested ones as "Outer.Inner"."""
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))


def enum(name: str) -> dict[str, int]:
    """Returns the values of the enum costate.v1.`name`, by name in order of declaration."""
    return {
        value.name: value.number for value in _pool.FindEnumTypeByName(f"{PACKAGE}.{name}").values
    }


def enum_of_message(message_name: str, name: str) -> dict[str, int]:
    """Returns the values of an enum declared inside a message."""
    descriptor = _pool.FindMessageTypeByName(f"{PACKAGE}.{message_name}")
    return {value.name: value.number for value in descriptor.enum_types_by_name[name].values}


def method(service: str, name: str) -> Any:
    """Returns the descriptor of an RPC of costate.v1.`service`."""
    return _pool.FindServiceByName(f"{PACKAGE}.{service}").methods_by_name[name]


def message_class(descriptor: Any) -> Any:
    """Returns the class of a message descriptor of this pool."""
    return message_factory.GetMessageClass(descriptor)
