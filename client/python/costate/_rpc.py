"""The RPCs, and everything about calling them that does not depend on threads or asyncio.

An operation is a generator: it yields an `Rpc`, gets the response and returns the result. The
two clients differ only in how they run one.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import math
import os
import random
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeVar, Union

import grpc

from costate import _proto
from costate.errors import CostateError, DeadlineExceeded, Overloaded, Unavailable, from_grpc

ADDRESS_VARIABLE = "COSTATE_ADDRESS"
DEFAULT_ADDRESS = "localhost:4310"
DEFAULT_TIMEOUT = 60.0
MAX_MESSAGE_BYTES = 64 << 20

_MAX_TRIES = 4
_FIRST_BACKOFF = 0.1
# Seconds. gRPC's clock overflows on times not much longer, and the call would end at once.
_LONGEST_TIMEOUT = 1e9


@dataclasses.dataclass(frozen=True)
class Method:
    """One RPC.

    Attributes
    ----------
    service, name
        As in the proto files.
    idempotent
        Whether a second try after an unknown outcome is harmless.
    """

    service: str
    name: str
    idempotent: bool = True

    @property
    def label(self) -> str:
        return f"{self.service}/{self.name}"

    @functools.cached_property
    def path(self) -> str:
        return f"/{_proto.PACKAGE}.{self.label}"

    @functools.cached_property
    def request_class(self) -> Any:
        return _proto.message_class(_proto.method(self.service, self.name).input_type)

    @functools.cached_property
    def response_class(self) -> Any:
        return _proto.message_class(_proto.method(self.service, self.name).output_type)


SOLVE = Method("SolveService", "Solve")
STREAM_SOLVE = Method("SolveService", "StreamSolve")
COMPUTE_GRADIENT = Method("GradientService", "ComputeGradient")
COMPUTE_VJP = Method("GradientService", "ComputeVjp")
COMPUTE_JVP = Method("GradientService", "ComputeJvp")
COMPUTE_SENSITIVITIES = Method("GradientService", "ComputeSensitivities")
COMPUTE_HVP = Method("GradientService", "ComputeHvp")
CHECK_GRADIENT = Method("GradientService", "CheckGradient")
KEEP_SOLVE = Method("GradientService", "KeepSolve")
RELEASE_SOLVE = Method("GradientService", "ReleaseSolve")
CREATE_MODEL = Method("ModelService", "CreateModel")
GET_MODEL = Method("ModelService", "GetModel")
LIST_MODELS = Method("ModelService", "ListModels")
# A second try would say NOT_FOUND although the first has deleted.
DELETE_MODEL = Method("ModelService", "DeleteModel", idempotent=False)
COMPUTE_STABILITY_REGION = Method("StabilityService", "ComputeStabilityRegion")
STREAM_STABILITY_REGION = Method("StabilityService", "StreamStabilityRegion")
ANALYZE_STABILITY = Method("StabilityService", "AnalyzeStability")
GET_SERVER_INFO = Method("ServerService", "GetServerInfo")
# Every call carries an idempotency key: a second try is the same job.
CREATE_JOB = Method("JobService", "CreateJob")
GET_JOB = Method("JobService", "GetJob")
LIST_JOBS = Method("JobService", "ListJobs")
WATCH_JOB = Method("JobService", "WatchJob")
CANCEL_JOB = Method("JobService", "CancelJob")
DELETE_JOB = Method("JobService", "DeleteJob", idempotent=False)
# A second try would say that the job is queued already.
REQUEUE_JOB = Method("JobService", "RequeueJob", idempotent=False)


@dataclasses.dataclass(frozen=True)
class Rpc:
    """One call to make. `timeout` in seconds; None is the client's default.

    With `each` the answer is a stream: it is called with every message, and there is no response.
    """

    method: Method
    request: Any
    timeout: float | None = None
    each: Callable[[Any], None] | None = None


T = TypeVar("T")
Operation = Generator[Rpc, Any, T]


class Deadline:
    """The time left of a call, over all its tries."""

    def __init__(self, timeout: float | None, default: float) -> None:
        self.seconds = default if timeout is None else float(timeout)
        if math.isnan(self.seconds) or self.seconds <= 0:
            raise ValueError(f"timeout is a positive number of seconds, not {timeout}")
        self._end = time.monotonic() + self.seconds

    def remaining(self) -> float | None:
        """Seconds left, at least a tick; None without a bound."""
        if self.seconds > _LONGEST_TIMEOUT:
            return None
        return max(self._end - time.monotonic(), 1e-3)


def failure(error: Any, method: Method, address: str, deadline: Deadline) -> CostateError:
    """The exception for a failed try."""
    found = from_grpc(error, method=method.label, address=address)
    if isinstance(found, DeadlineExceeded):
        found.message = (
            f"{method.label} took longer than {deadline.seconds:g} s; "
            "the argument `timeout` allows more"
        )
        found.args = (found.message,)
    return found


def retry_delay(
    error: CostateError, method: Method, tries: int, deadline: Deadline
) -> float | None:
    """Seconds to wait before the next try, None to give up.

    Tries again where no server answered (calls without effects only), and where the server was
    at capacity and said when to come back. At most 4 tries, never past the deadline.
    """
    if tries >= _MAX_TRIES:
        return None
    if isinstance(error, Unavailable) and method.idempotent:
        delay = _FIRST_BACKOFF * 2 ** (tries - 1)
    elif isinstance(error, Overloaded) and error.retry_after is not None:
        delay = error.retry_after
    else:
        return None
    delay *= random.uniform(1.0, 1.25)  # Many clients must not come back in step.
    remaining = deadline.remaining()
    return delay if remaining is None or delay < remaining else None


@dataclasses.dataclass(frozen=True)
class Target:
    """Where and how to connect.

    Attributes
    ----------
    address
        "host:port", or "unix:/path".
    credentials
        None for plain text.
    options
        Channel arguments.
    """

    address: str
    credentials: grpc.ChannelCredentials | None
    options: list[tuple[str, int | str]]


PemSource = Union[bytes, str, "os.PathLike[str]", None]


def make_target(
    address: str | None,
    *,
    tls: bool | None = None,
    root_certificates: PemSource = None,
    certificate: PemSource = None,
    private_key: PemSource = None,
    server_name: str | None = None,
    options: Mapping[str, int | str] | None = None,
) -> Target:
    """Settles address, credentials and channel arguments; see `costate.connect`."""
    address = address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS
    if (certificate is None) != (private_key is None):
        raise ValueError("certificate and private_key belong together")
    wants_tls = root_certificates is not None or certificate is not None
    if tls is False and wants_tls:
        raise ValueError("certificates have no meaning with tls=False")
    credentials = None
    if tls or wants_tls:
        credentials = grpc.ssl_channel_credentials(
            _pem(root_certificates), _pem(private_key), _pem(certificate)
        )
    arguments: dict[str, int | str] = {
        "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
        "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
        # Lists of model issues travel in trailers.
        "grpc.max_metadata_size": 64 << 10,
        "grpc.absolute_max_metadata_size": 64 << 10,
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.min_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": 2000,
        # Who watches a job must see that the server's machine is gone. It permits one in 30 s.
        "grpc.keepalive_time_ms": 60_000,
        "grpc.keepalive_timeout_ms": 20_000,
        "grpc.http2.max_pings_without_data": 0,
    }
    if _is_loopback(address):
        arguments["grpc.enable_http_proxy"] = 0
    if server_name:
        arguments["grpc.ssl_target_name_override"] = server_name
    arguments.update(options or {})
    return Target(address, credentials, list(arguments.items()))


def local_target(address: str) -> Target:
    """Plain text, whatever the environment says."""
    return make_target(address, tls=False)


def _pem(source: PemSource) -> bytes | None:
    if source is None or isinstance(source, bytes):
        return source
    with open(source, "rb") as file:
        return file.read()


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost" or address.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
