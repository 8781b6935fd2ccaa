"""What can go wrong with a call, as exceptions.

A solve that ran and ended early is *not* an exception: see `Solution.status`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from costate import _proto

__all__ = [
    "Cancelled",
    "CostateError",
    "DeadlineExceeded",
    "InvalidRequest",
    "Issue",
    "JobCancelled",
    "JobDead",
    "JobError",
    "JobFailed",
    "LimitExceeded",
    "ModelError",
    "NotFound",
    "Overloaded",
    "PermissionDenied",
    "ServerError",
    "ServerNotFound",
    "ServerStartError",
    "StillRunning",
    "Unavailable",
    "Unimplemented",
    "UnknownName",
    "Violation",
]


@dataclasses.dataclass(frozen=True)
class Violation:
    """One field of a request that was refused.

    Attributes
    ----------
    field
        Path of the field, for example ``"simulation.params[0].array"``.
    description
        One sentence with the value and what is allowed.
    """

    field: str
    description: str


@dataclasses.dataclass(frozen=True)
class Issue:
    """Something wrong with a model.

    Attributes
    ----------
    line, column
        Place in the text, from 1 and in characters; line 0 means no place.
    length
        Number of characters marked.
    message
        One sentence.
    hint
        What to do about it, may be empty.
    """

    line: int
    column: int
    length: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.line}:{self.column}: " if self.line else ""
        return place + self.message + (f" ({self.hint})" if self.hint else "")


class CostateError(Exception):
    """Base of everything this package raises on its own account.

    Attributes
    ----------
    message
        The server's sentence, or the client's.
    code
        Name of the gRPC status code, "INVALID_ARGUMENT" for example; empty when the call never
        left the client.
    metadata
        Further facts from the server, by name.
    retry_after
        Seconds after which to try again, where the server said so.
    method
        The call, "SolveService/Solve" for example; empty for errors outside of calls.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        method: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.metadata: dict[str, str] = dict(metadata or {})
        self.retry_after = retry_after
        self.method = method

    @property
    def reason(self) -> str:
        """What is wrong, without the place."""
        return self.message

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions cross process borders in pools; the default would drop the keywords.
        return _rebuild, (type(self), self.args, self.__dict__.copy())


def _rebuild(kind: type[CostateError], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


# Paths of fields on the wire, by the argument that fills them where its name is another.
_ARGUMENTS: tuple[tuple[str, str], ...] = (
    (r"simulation\.t[01]\b", "t"),
    (r"simulation\.initial_state\b", "y0"),
    (r"simulation\.options\.fixed\b", "dt"),
    (r"simulation\.options\.save\b", "save_at"),
    (r"simulation\.options\.adaptive\.(beta\d|safety|min_factor|max_factor)\b", "controller"),
    (r"gradient\.method\b", "gradient_method"),
    (r"gradient\.memory_budget_bytes\b", "memory_budget"),
    (r"gradient\.want_time_gradient\b", "time_gradient"),
    (r"directions\b", "tangents"),
    (r"free\b", "parameters"),
    (r"spec\.display_name\b", "name"),
)
# Where the request stands inside of a job.
_OF_A_JOB = re.compile(r"(spec\.(?!display_name)\w+\.)(fit\.)?")
_OF_A_FIT = (r"simulation\.options\.method\b", "solver")


class InvalidRequest(CostateError, ValueError):
    """The request makes no sense: a name, a shape, a range.

    Attributes
    ----------
    violations
        All fields refused, at least one where the server named any.
    """

    def __init__(
        self, message: str, *, violations: Iterable[Violation] = (), **details: Any
    ) -> None:
        super().__init__(message, **details)
        self.violations = tuple(violations)

    @property
    def field(self) -> str:
        """Path of the first field refused, or empty."""
        return self.violations[0].field if self.violations else ""

    @property
    def argument(self) -> str:
        """The argument behind the first field where that has another name on the wire, or empty:
        "dt" for "simulation.options.fixed.step"."""
        job = _OF_A_JOB.match(self.field)
        field = self.field[job.end() :] if job else self.field
        paths = _ARGUMENTS
        if job and "fit" in job[0]:
            paths = (_OF_A_FIT, *_ARGUMENTS)
        return next((name for path, name in paths if re.match(path, field)), "")

    @property
    def reason(self) -> str:
        """What is wrong with the first field: its value and what is allowed."""
        return self.violations[0].description if self.violations else self.message

    def __str__(self) -> str:
        # The server's sentence names the first field itself.
        extra = [f"  {v.field}: {v.description}" for v in self.violations[1:]]
        if self.field and self.field not in self.message:
            extra.insert(0, f"  {self.field}: {self.violations[0].description}")
        hint = f" (the argument `{self.argument}`)" if self.argument else ""
        return "\n".join([self.message + hint, *extra])


class ModelError(InvalidRequest):
    """The model is wrong; `str` shows the issues with their lines and carets.

    Attributes
    ----------
    issues
        In order of place. A long list is cut short, except by `client.describe(model)`.
    formatted
        The same as text for people.
    """

    def __init__(
        self, message: str, *, issues: Iterable[Issue] = (), formatted: str = "", **details: Any
    ) -> None:
        super().__init__(message, **details)
        self.issues = tuple(issues)
        self.formatted = formatted

    @property
    def reason(self) -> str:
        """The first issue."""
        return str(self.issues[0]) if self.issues else self.message

    def __str__(self) -> str:
        text = self.formatted or "\n".join(str(issue) for issue in self.issues)
        return f"{self.message}\n{text.rstrip()}" if text else self.message


class NotFound(CostateError, LookupError):
    """No model of that name is registered with the server."""


class UnknownName(CostateError, KeyError):
    """A result holds nothing of that name."""


class PermissionDenied(CostateError, PermissionError):
    """The server does not know this client, or refuses it."""


class LimitExceeded(CostateError):
    """The call needs more than a limit allows: a memory budget, the size of a message, the room on
    disk. The same call will fail again; the text says what to ask for instead.
    """


class Overloaded(CostateError):
    """The server is at capacity now. It was tried a few times already; `retry_after` says when to
    try again.
    """


class Unavailable(CostateError, ConnectionError):
    """No server answers at that address, or it went away."""


class DeadlineExceeded(CostateError, TimeoutError):
    """The call took longer than its `timeout`; the server has stopped working on it."""


class Cancelled(CostateError):
    """The call was cancelled."""


class JobError(CostateError):
    """A job has ended without a result. Base of `JobFailed`, `JobCancelled` and `JobDead`.

    Where the server said why, that is the `__cause__`, typed as an error of a call would be: an
    `InvalidRequest` with its fields, a `ModelError` with its issues.

    Attributes
    ----------
    job
        Its name.
    """

    def __init__(self, message: str, *, job: str = "", **details: Any) -> None:
        super().__init__(message, **details)
        self.job = job


class JobFailed(JobError):
    """The request of a job cannot succeed; the text says why."""


class JobCancelled(JobError):
    """The job was cancelled."""


class JobDead(JobError):
    """Given up after repeated failures of the machinery. `Job.requeue` tries again."""


class StillRunning(CostateError, TimeoutError):
    """A job has not ended within the time to wait for it. It goes on.

    Attributes
    ----------
    job
        Its name.
    """

    def __init__(self, message: str, *, job: str = "", **details: Any) -> None:
        super().__init__(message, **details)
        self.job = job


class Unimplemented(CostateError, NotImplementedError):
    """The server does not do that (yet, or in its version)."""


class ServerError(CostateError):
    """The server failed. Not the caller's fault."""


class ServerNotFound(CostateError, FileNotFoundError):
    """`local` found no `costated` program."""


class ServerStartError(CostateError):
    """`local` started a server that did not come up; the text has its last words."""


_KINDS: dict[grpc.StatusCode, type[CostateError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.FAILED_PRECONDITION: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.ALREADY_EXISTS: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.UNAUTHENTICATED: PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitExceeded,  # Overloaded with a time to come back
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
}

_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

# gRPC's own words, unlike those of a server that refuses.
_CONNECTION_TROUBLE = re.compile(r"connect|socket|dns|resol|handshake|goaway", re.IGNORECASE)
_STATUS_DETAILS_KEY = "grpc-status-details-bin"


def from_grpc(error: Any, *, method: str = "", address: str = "") -> CostateError:
    """Returns the exception for a failed call.

    Parameters
    ----------
    error
        A `grpc.RpcError` of a call, or a `grpc.aio.AioRpcError`.
    method, address
        For the text and the `method` attribute.
    """
    code: grpc.StatusCode = error.code()
    details = _decode_metadata(error.trailing_metadata())
    return _from_parts(code, error.details() or code.name, details, method, address)


def from_status(status: Any, *, method: str = "") -> CostateError:
    """Returns the exception for a google.rpc.Status that an answer carries."""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    return _from_parts(code, status.message or code.name, _decode_details(status), method, "")


def _from_parts(
    code: grpc.StatusCode, message: str, details: list[Any], method: str, address: str
) -> CostateError:
    kind = _KINDS.get(code, ServerError)
    facts: dict[str, Any] = {"code": code.name, "method": method}
    issues: dict[str, Any] = {}
    violations: list[Violation] = []
    for detail in details:
        if isinstance(detail, error_details_pb2.ErrorInfo):
            facts["metadata"] = {"reason": detail.reason, **detail.metadata}
        elif isinstance(detail, error_details_pb2.RetryInfo):
            facts["retry_after"] = detail.retry_delay.seconds + detail.retry_delay.nanos * 1e-9
            if kind is LimitExceeded:
                kind = Overloaded
        elif isinstance(detail, error_details_pb2.BadRequest):
            violations += [Violation(v.field, v.description) for v in detail.field_violations]
        elif isinstance(detail, _ModelIssues):
            issues = {"issues": issues_from_proto(detail), "formatted": detail.formatted}
    if kind is Unavailable and _CONNECTION_TROUBLE.search(message):
        message = f"no Costate server answers at {address or 'that address'} ({message})"
    if kind is DeadlineExceeded:
        message = f"{message} (see the argument `timeout`)"
    if issues and issubclass(kind, InvalidRequest):
        message = _headline(message, len(issues["issues"]))
        return ModelError(message, violations=violations, **issues, **facts)
    if issubclass(kind, InvalidRequest):
        return kind(message, violations=violations, **facts)
    return kind(message, **facts)


def _headline(message: str, shown: int) -> str:
    """The server's first line, without the issue it repeats from the list."""
    line = message.splitlines()[0].partition(", the first is")[0]
    count = re.search(r"\b(\d+) issues?\b", line)
    if count and int(count[1]) > shown:
        line += f"; here are {shown}, client.describe(model) lists all"
    return line


def issues_from_proto(issues: Any) -> tuple[Issue, ...]:
    """Converts a ModelIssues message."""
    return tuple(Issue(i.line, i.column, i.length, i.message, i.hint) for i in issues.issues)


_ModelIssues = _proto.message("ModelIssues")
_DETAIL_CLASSES: tuple[Any, ...] = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.RetryInfo,
    error_details_pb2.BadRequest,
    _ModelIssues,
)


def _decode_metadata(metadata: Iterable[tuple[str, Any]] | None) -> list[Any]:
    found: list[Any] = []
    for key, value in metadata or ():
        if key == _STATUS_DETAILS_KEY:
            # A detail that does not parse must not hide the error itself.
            with contextlib.suppress(Exception):
                found += _decode_details(status_pb2.Status.FromString(value))
    return found


def _decode_details(status: Any) -> list[Any]:
    found: list[Any] = []
    for detail in status.details:
        name = detail.type_url.rpartition("/")[2]
        for kind in _DETAIL_CLASSES:
            if kind.DESCRIPTOR.full_name == name:
                with contextlib.suppress(Exception):
                    found.append(kind.FromString(detail.value))
    return found
