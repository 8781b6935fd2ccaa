"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from costate import _fit, _gradients, _jobs, _kept, _operations, _rpc, _stability
from costate._bind import (
    blocking,
    blocking_job,
    blocking_jobs,
    blocking_keep,
    blocking_stream,
)
from costate._stream import SolveStream
from costate.errors import CostateError

if TYPE_CHECKING:
    import os

    from costate._local import LocalServer

T = TypeVar("T")

__all__ = ["Client", "connect", "local"]


class Client:
    """Calls a Costate server and waits for the answers. Made by `connect` and `local`.

    Usable from several threads at once. Close it, or use it as a context manager.

    Attributes
    ----------
    address
        Of the server.
    timeout
        Deadline of calls that name none, in seconds.
    server
        The process behind a client made by `local`, else None.
    """

    def __init__(
        self, target: _rpc.Target, *, timeout: float, server: LocalServer | None = None
    ) -> None:
        self.address = target.address
        self.timeout = timeout
        self.server = server
        self._context = _operations.Context()
        self._channel: grpc.Channel | None = (
            grpc.insecure_channel(target.address, options=target.options)
            if target.credentials is None
            else grpc.secure_channel(target.address, target.credentials, options=target.options)
        )
        self._callables: dict[_rpc.Method, Any] = {}

    solve = blocking(_operations.solve)
    stream_solve = blocking_stream(_operations.stream_solve)
    gradient = blocking(_gradients.gradient)
    vjp = blocking(_gradients.vjp)
    jvp = blocking(_gradients.jvp)
    sensitivities = blocking(_gradients.sensitivities)
    hvp = blocking(_gradients.hvp)
    check_gradient = blocking(_gradients.check_gradient)
    keep = blocking_keep(_kept.keep)
    stability = blocking(_stability.stability)
    stability_region = blocking(_stability.stability_region)
    fit = blocking_job(_fit.fit)
    profile = blocking_job(_fit.profile)
    job = blocking_job(_jobs.job)
    jobs = blocking_jobs(_jobs.jobs)
    describe = blocking(_operations.describe)
    create_model = blocking(_operations.create_model)
    list_models = blocking(_operations.list_models)
    delete_model = blocking(_operations.delete_model)
    server_info = blocking(_operations.server_info)

    @property
    def submit(self) -> _jobs.Submit:
        """Makes jobs of other calls: ``client.submit.solve(...)``; see `costate.Submit`."""
        return _jobs.Submit(self)

    def close(self) -> None:
        """Closes the connection and stops the server if it is a local one."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._callables.clear()
        if self.server is not None:
            self.server.stop()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        kind = "closed" if self._channel is None else "local" if self.server else "connected"
        return f"<costate.Client {self.address}, {kind}>"

    def _run(self, operation: _rpc.Operation[T]) -> T:
        try:
            rpc = next(operation)
            while True:
                try:
                    response = self._call(rpc)
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

    def _call(self, rpc: _rpc.Rpc) -> Any:
        if rpc.each is not None:
            for message in self._messages(rpc):
                rpc.each(message)
            return None
        call = self._callable(rpc.method, "unary_unary")
        deadline = _rpc.Deadline(rpc.timeout, self.timeout)
        tries = 0
        while True:
            tries += 1
            try:
                return call(rpc.request, timeout=deadline.remaining())
            except grpc.RpcError as error:
                failure = _rpc.failure(error, rpc.method, self.address, deadline)
            delay = _rpc.retry_delay(failure, rpc.method, tries, deadline)
            if delay is None:
                raise failure
            time.sleep(delay)

    def _messages(self, rpc: _rpc.Rpc) -> Generator[Any, None, None]:
        """The answers of a stream. Closing the iterator early cancels the call."""
        deadline = _rpc.Deadline(rpc.timeout, self.timeout)
        call = self._callable(rpc.method, "unary_stream")(rpc.request, timeout=deadline.remaining())
        try:
            yield from call
        except grpc.RpcError as error:
            raise _rpc.failure(error, rpc.method, self.address, deadline) from None
        finally:
            call.cancel()

    def _open(self, rpc: _rpc.Rpc) -> SolveStream:
        deadline = _rpc.Deadline(rpc.timeout, self.timeout)
        call = self._callable(rpc.method, "unary_stream")(rpc.request, timeout=deadline.remaining())
        return SolveStream.open(
            call, lambda error: _rpc.failure(error, rpc.method, self.address, deadline)
        )


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
    """Returns a client of the server at an address. Does not wait for it to answer.

    Parameters
    ----------
    address
        "host:port" or "unix:/path". Default: the environment variable COSTATE_ADDRESS, else
        "localhost:4310".
    timeout
        Deadline of calls that name none, in seconds; `math.inf` for none. Default 60.
    tls
        Encrypt. Default: only where certificates are given.
    root_certificates
        PEM bytes or file that the server's certificate is checked against. Default: those of
        the system's gRPC.
    certificate, private_key
        PEM bytes or files that prove this client to the server (mutual TLS).
    server_name
        Name expected in the server's certificate, where it is not the host of the address.
    options
        Further gRPC channel arguments.
    """
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
) -> Client:
    """Starts a private server on a free loopback port and returns a client of it.

    The server ends with `close`, with the ``with`` block, when the client is collected, and with
    this process, however that ends.

    Parameters
    ----------
    data_directory
        Where jobs are kept, to find them again with another server on the same directory.
        Default: a temporary one, which goes with the server.
    binary
        The program `costated`. Default: the environment variable COSTATE_BINARY, the build
        folders of the checkout this package was installed from, or PATH; in this order.
    arguments
        Further command line arguments of the server.
    timeout
        Deadline of calls that name none, in seconds. Default 60.
    startup_timeout
        How long the server may take to listen, in seconds. Default 30.

    Raises
    ------
    ServerNotFound
        Where there is no such program; the text says what to do.
    ServerStartError
        Where it does not come up; the text has what it printed last.
    """
    from costate._local import LocalServer

    server = LocalServer.start(binary, arguments or [], startup_timeout, data_directory)
    return Client(_rpc.local_target(server.address), timeout=timeout, server=server)
