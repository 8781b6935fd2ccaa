"""The client for asyncio: the same calls as `costate.Client`, to be awaited.

>>> async with costate.aio.connect("localhost:4310") as client:
...     sol = await client.solve(model, t=(0, 50))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import grpc.aio

from costate import _fit, _gradients, _jobs, _kept, _operations, _rpc, _stability
from costate._bind import (
    awaitable,
    awaitable_job,
    awaitable_jobs,
    awaitable_keep,
    awaitable_stream,
)
from costate._job import AsyncJob as Job
from costate._jobs import AsyncSubmit as Submit
from costate._kept import AsyncKeptSolve as KeptSolve
from costate._stream import AsyncSolveStream
from costate.errors import CostateError

if TYPE_CHECKING:
    import os

    from costate._local import LocalServer

T = TypeVar("T")

__all__ = ["Client", "Job", "KeptSolve", "Submit", "connect", "local"]


class Client:
    """Calls a Costate server from coroutines. Made by `connect` and `local` of this module.

    Belongs to the event loop it was made in. Cancelling a task cancels its call on the server.

    Attributes
    ----------
    address, timeout, server
        As in `costate.Client`.
    """

    def __init__(
        self, target: _rpc.Target, *, timeout: float, server: LocalServer | None = None
    ) -> None:
        self.address = target.address
        self.timeout = timeout
        self.server = server
        self._context = _operations.Context()
        self._channel: grpc.aio.Channel | None = (
            grpc.aio.insecure_channel(target.address, options=target.options)
            if target.credentials is None
            else grpc.aio.secure_channel(target.address, target.credentials, options=target.options)
        )
        self._callables: dict[_rpc.Method, Any] = {}

    solve = awaitable(_operations.solve)
    stream_solve = awaitable_stream(_operations.stream_solve)
    gradient = awaitable(_gradients.gradient)
    vjp = awaitable(_gradients.vjp)
    jvp = awaitable(_gradients.jvp)
    sensitivities = awaitable(_gradients.sensitivities)
    hvp = awaitable(_gradients.hvp)
    check_gradient = awaitable(_gradients.check_gradient)
    keep = awaitable_keep(_kept.keep)
    stability = awaitable(_stability.stability)
    stability_region = awaitable(_stability.stability_region)
    fit = awaitable_job(_fit.fit)
    profile = awaitable_job(_fit.profile)
    job = awaitable_job(_jobs.job)
    jobs = awaitable_jobs(_jobs.jobs)
    describe = awaitable(_operations.describe)
    create_model = awaitable(_operations.create_model)
    list_models = awaitable(_operations.list_models)
    delete_model = awaitable(_operations.delete_model)
    server_info = awaitable(_operations.server_info)

    @property
    def submit(self) -> Submit:
        """Makes jobs of other calls: ``await client.submit.solve(...)``; see `costate.Submit`."""
        return Submit(self)

    async def close(self) -> None:
        """Closes the connection and stops the server if it is a local one."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None
        self._callables.clear()
        if self.server is not None:
            await asyncio.to_thread(self.server.stop)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        kind = "closed" if self._channel is None else "local" if self.server else "connected"
        return f"<costate.aio.Client {self.address}, {kind}>"

    async def _run(self, operation: _rpc.Operation[T]) -> T:
        try:
            rpc = next(operation)
            while True:
                try:
                    response = await self._call(rpc)
                except CostateError as error:
                    rpc = operation.throw(error)
                else:
                    rpc = operation.send(response)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _callable(self, method: _rpc.Method, kind: str) -> Any:
        found = self._callables.get(method)
        if found is None:
            if self._channel is None:
                raise ValueError("this client is closed")
            found = getattr(self._channel, kind)(
                method.path,
                request_serializer=method.request_class.SerializeToString,
                response_deserializer=method.response_class.FromString,
            )
            self._callables[method] = found
        return found

    async def _call(self, rpc: _rpc.Rpc) -> Any:
        if rpc.each is not None:
            async for message in self._messages(rpc):
                rpc.each(message)
            return None
        call = self._callable(rpc.method, "unary_unary")
        deadline = _rpc.Deadline(rpc.timeout, self.timeout)
        tries = 0
        while True:
            tries += 1
            try:
                return await call(rpc.request, timeout=deadline.remaining())
            except grpc.RpcError as error:
                failure = _rpc.failure(error, rpc.method, self.address, deadline)
            delay = _rpc.retry_delay(failure, rpc.method, tries, deadline)
            if delay is None:
                raise failure
            await asyncio.sleep(delay)

    async def _messages(self, rpc: _rpc.Rpc) -> AsyncGenerator[Any, None]:
        """The answers of a stream. Closing the iterator early cancels the call."""
        deadline = _rpc.Deadline(rpc.timeout, self.timeout)
        call = self._callable(rpc.method, "unary_stream")(rpc.request, timeout=deadline.remaining())
        try:
            async for message in call:
                yield message
        except grpc.RpcError as error:
            raise _rpc.failure(error, rpc.method, self.address, deadline) from None
        finally:
            call.cancel()

    async def _open(self, rpc: _rpc.Rpc) -> AsyncSolveStream:
        deadline = _rpc.Deadline(rpc.timeout, self.timeout)
        call = self._callable(rpc.method, "unary_stream")(rpc.request, timeout=deadline.remaining())
        return await AsyncSolveStream.open(
            call, lambda error: _rpc.failure(error, rpc.method, self.address, deadline)
        )


class _Pending:
    """A client that is still to be made: ``await`` it, or enter it with ``async with``."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._client: Client | None = None

    def __await__(self) -> Any:
        return self._make().__await__()

    async def __aenter__(self) -> Client:
        self._client = await self._make()
        return self._client

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()


def connect(
    address: str | None = None,
    *,
    timeout: float = _rpc.DEFAULT_TIMEOUT,
    tls: bool | None = None,
    root_certificates: _rpc.PemSource = None,
    certificate: _rpc.PemSource = None,
    private_key: _rpc.PemSource = None,
    server_name: str | None = None,
    options: Mapping[str, int | str] | None = None,
) -> Client:
    """As `costate.connect`; to be called where an event loop runs."""
    target = _rpc.make_target(
        address,
        tls=tls,
        root_certificates=root_certificates,
        certificate=certificate,
        private_key=private_key,
        server_name=server_name,
        options=options,
    )
    return Client(target, timeout=timeout)


def local(
    *,
    data_directory: str | os.PathLike[str] | None = None,
    binary: str | os.PathLike[str] | None = None,
    arguments: list[str] | None = None,
    timeout: float = _rpc.DEFAULT_TIMEOUT,
    startup_timeout: float = 30.0,
) -> _Pending:
    """As `costate.local`: ``client = await local()`` or ``async with local() as client``."""

    async def make() -> Client:
        from costate._local import LocalServer

        server = await asyncio.to_thread(
            LocalServer.start, binary, arguments or [], startup_timeout, data_directory
        )
        return Client(_rpc.local_target(server.address), timeout=timeout, server=server)

    return _Pending(make)
