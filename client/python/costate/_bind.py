"""Turns operations into methods of the two clients, signature and documentation included.

An operation is written once, as a generator function whose first parameter is a `Context`. The
typed decorators here make it a blocking method of `costate.Client` and a coroutine method of
`costate.aio.Client`.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from costate._fit_options import SEARCH_DOC, FitArguments
from costate._gradient_options import METHOD_DOC, GradientArguments
from costate._options import SIMULATION_DOC, SimulationArguments

if TYPE_CHECKING:
    from typing import TypeVar

    from typing_extensions import Concatenate, ParamSpec

    from costate._job import AsyncJob, Job
    from costate._job_spec import Queued
    from costate._kept import AsyncKeptSolve, Kept, KeptSolve
    from costate._operations import Context
    from costate._rpc import Operation, Rpc
    from costate._stream import AsyncSolveStream, SolveStream

    P = ParamSpec("P")
    T = TypeVar("T")


def blocking(
    operation: Callable[Concatenate[Context, P], Operation[T]],
) -> Callable[Concatenate[Any, P], T]:
    """A method that runs the operation and returns its result."""

    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = self._run(operation(self._context, *args, **kwargs))
        return result

    dress(method, operation)
    return method


def awaitable(
    operation: Callable[Concatenate[Context, P], Operation[T]],
) -> Callable[Concatenate[Any, P], Awaitable[T]]:
    """A coroutine method that runs the operation."""

    async def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = await self._run(operation(self._context, *args, **kwargs))
        return result

    dress(method, operation)
    return method


def blocking_stream(
    operation: Callable[Concatenate[Context, P], Operation[Rpc]],
) -> Callable[Concatenate[Any, P], SolveStream]:
    """A method that runs the operation and opens the stream it asks for."""

    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> SolveStream:
        stream: SolveStream = self._open(self._run(operation(self._context, *args, **kwargs)))
        return stream

    dress(method, operation)
    return method


def awaitable_stream(
    operation: Callable[Concatenate[Context, P], Operation[Rpc]],
) -> Callable[Concatenate[Any, P], Awaitable[AsyncSolveStream]]:
    """A coroutine method that opens the stream."""

    async def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> AsyncSolveStream:
        rpc = await self._run(operation(self._context, *args, **kwargs))
        stream: AsyncSolveStream = await self._open(rpc)
        return stream

    dress(method, operation)
    return method


def blocking_keep(
    operation: Callable[Concatenate[Context, P], Operation[Kept]],
) -> Callable[Concatenate[Any, P], KeptSolve]:
    """A method that runs the operation and returns a kept solve of its client."""

    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> KeptSolve:
        from costate._kept import KeptSolve

        return KeptSolve(self._run(operation(self._context, *args, **kwargs)), self._run)

    dress(method, operation)
    return method


def awaitable_keep(
    operation: Callable[Concatenate[Context, P], Operation[Kept]],
) -> Callable[Concatenate[Any, P], Awaitable[AsyncKeptSolve]]:
    """A coroutine method that does the same."""

    async def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> AsyncKeptSolve:
        from costate._kept import AsyncKeptSolve

        kept = await self._run(operation(self._context, *args, **kwargs))
        return AsyncKeptSolve(kept, self._run)

    dress(method, operation)
    return method


def blocking_job(
    operation: Callable[Concatenate[Context, P], Operation[Queued[T]]],
) -> Callable[Concatenate[Any, P], Job[T]]:
    """A method that runs the operation and returns a job of its client."""

    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        from costate._job import Job

        return Job(self, self._run(operation(self._context, *args, **kwargs)).message)

    dress(method, operation)
    return method


def awaitable_job(
    operation: Callable[Concatenate[Context, P], Operation[Queued[T]]],
) -> Callable[Concatenate[Any, P], Awaitable[AsyncJob[T]]]:
    """A coroutine method that does the same."""

    async def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> AsyncJob[T]:
        from costate._job import AsyncJob

        return AsyncJob(self, (await self._run(operation(self._context, *args, **kwargs))).message)

    dress(method, operation)
    return method


def blocking_jobs(
    operation: Callable[Concatenate[Context, P], Operation[list[Queued[T]]]],
) -> Callable[Concatenate[Any, P], list[Job[T]]]:
    """A method that runs the operation and returns jobs of its client."""

    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> list[Job[T]]:
        from costate._job import Job

        found = self._run(operation(self._context, *args, **kwargs))
        return [Job(self, queued.message) for queued in found]

    dress(method, operation)
    return method


def awaitable_jobs(
    operation: Callable[Concatenate[Context, P], Operation[list[Queued[T]]]],
) -> Callable[Concatenate[Any, P], Awaitable[list[AsyncJob[T]]]]:
    """A coroutine method that does the same."""

    async def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> list[AsyncJob[T]]:
        from costate._job import AsyncJob

        found = await self._run(operation(self._context, *args, **kwargs))
        return [AsyncJob(self, queued.message) for queued in found]

    dress(method, operation)
    return method


def with_simulation_arguments(operation: Callable[P, T]) -> Callable[P, T]:
    """Spells out **simulation in signature and documentation."""
    return _spell_out(operation, SimulationArguments)


def with_gradient_arguments(operation: Callable[P, T]) -> Callable[P, T]:
    """Spells out **arguments, those of the method and of the simulation."""
    return _spell_out(operation, GradientArguments)


def with_fit_arguments(operation: Callable[P, T]) -> Callable[P, T]:
    """Spells out **arguments, those of the search included."""
    return _spell_out(operation, FitArguments)


def _spell_out(operation: Callable[P, T], arguments: Any) -> Callable[P, T]:
    signature = inspect.signature(operation)
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    known = {p.name for p in parameters}
    parameters += [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind.__forward_arg__
        )
        for name, kind in arguments.__annotations__.items()
        if name not in known
    ]
    setattr(operation, "__signature__", signature.replace(parameters=parameters))  # noqa: B010
    document = inspect.cleandoc(operation.__doc__ or "")
    simulation = SIMULATION_DOC
    if arguments is FitArguments:  # Its `method` is another, and steps are not returned.
        simulation = "".join(
            entry
            for entry in re.split(r"^(?=\w)", SIMULATION_DOC, flags=re.MULTILINE)
            if not entry.startswith(("method :", "return_grid :"))
        )
    document = document.replace("<search>\n", SEARCH_DOC)
    document = document.replace("<method>\n", METHOD_DOC)
    operation.__doc__ = document.replace("<simulation>\n", simulation)
    return operation


def dress(
    method: Any, operation: Any, owner: str = "Client", result: str = "{}", preface: str = ""
) -> None:
    """Names and shows a method as if it had been written in its class."""
    functools.update_wrapper(method, operation)
    signature = inspect.signature(operation)
    _, *rest = signature.parameters.values()
    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    returned = re.sub(r"Operation\[(.*)\]", r"\1", str(signature.return_annotation))
    returned = result.format(re.sub(r"Queued\[(.*?)\]", r"Job[\1]", returned))
    method.__signature__ = signature.replace(parameters=[me, *rest], return_annotation=returned)
    method.__qualname__ = f"{owner}.{operation.__name__}"
    method.__doc__ = preface + inspect.cleandoc(operation.__doc__ or "")
    # Annotations of the operation would name the generator.
    method.__annotations__ = {}
