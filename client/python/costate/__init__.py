"""Costate: solve differential equations and get exact gradients from a server.

>>> import costate
>>> client = costate.connect("localhost:4310")  # or costate.local()
>>> model = costate.Model(text)
>>> sol = client.solve(model, t=(0, 50), save_at=np.linspace(0, 50, 201))
>>> sol["i"]

`costate.aio` has the same client for asyncio.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

from costate._batch_report import BatchReport
from costate._derivatives import Gradient, Jvp, Sensitivities, Vjp
from costate._fit_options import Schedule
from costate._fit_problem import Condition, Data, Free, Prior
from costate._fit_result import Estimate, FitResult, FitStart, FittedSeries, FittedTrajectory
from costate._gradient_options import Backward, Difference, Report
from costate._hessian import CheckedMethod, GradientCheck, Hvp
from costate._job import Job
from costate._jobs import Submit
from costate._kept import KeptSolve
from costate._local import LocalServer
from costate._losses import Expression, Integral, LeastSquares, Linear, Loss, Terminal
from costate._model import Model, ModelInfo, ParameterInfo
from costate._options import Controller
from costate._profile import Profile, ProfileResult
from costate._progress import Progress
from costate._report import Check, GradientReport
from costate._results import GradientStats, SolveStats, Status, Timing
from costate._server_info import GradientMethodInfo, MethodInfo, ServerInfo
from costate._solution import Solution
from costate._stability import Reconstruction, Stability, StabilityMode, StabilityRegion
from costate._stream import Chunk, SolveStream
from costate.client import Client, connect, local
from costate.errors import (
    Cancelled,
    CostateError,
    DeadlineExceeded,
    InvalidRequest,
    Issue,
    JobCancelled,
    JobDead,
    JobError,
    JobFailed,
    LimitExceeded,
    ModelError,
    NotFound,
    Overloaded,
    PermissionDenied,
    ServerError,
    ServerNotFound,
    ServerStartError,
    StillRunning,
    Unavailable,
    Unimplemented,
    UnknownName,
    Violation,
)

if TYPE_CHECKING:
    from costate import aio

try:
    __version__ = importlib.metadata.version("costate")
except importlib.metadata.PackageNotFoundError:
    __version__ = "0.0.0"

__all__ = [
    "Backward",
    "BatchReport",
    "Cancelled",
    "Check",
    "CheckedMethod",
    "Chunk",
    "Client",
    "Condition",
    "Controller",
    "CostateError",
    "Data",
    "DeadlineExceeded",
    "Difference",
    "Estimate",
    "Expression",
    "FitResult",
    "FitStart",
    "FittedSeries",
    "FittedTrajectory",
    "Free",
    "Gradient",
    "GradientCheck",
    "GradientMethodInfo",
    "GradientReport",
    "GradientStats",
    "Hvp",
    "Integral",
    "InvalidRequest",
    "Issue",
    "Job",
    "JobCancelled",
    "JobDead",
    "JobError",
    "JobFailed",
    "Jvp",
    "KeptSolve",
    "LeastSquares",
    "LimitExceeded",
    "Linear",
    "LocalServer",
    "Loss",
    "MethodInfo",
    "Model",
    "ModelError",
    "ModelInfo",
    "NotFound",
    "Overloaded",
    "ParameterInfo",
    "PermissionDenied",
    "Prior",
    "Profile",
    "ProfileResult",
    "Progress",
    "Reconstruction",
    "Report",
    "Schedule",
    "Sensitivities",
    "ServerError",
    "ServerInfo",
    "ServerNotFound",
    "ServerStartError",
    "Solution",
    "SolveStats",
    "SolveStream",
    "Stability",
    "StabilityMode",
    "StabilityRegion",
    "Status",
    "StillRunning",
    "Submit",
    "Terminal",
    "Timing",
    "Unavailable",
    "Unimplemented",
    "UnknownName",
    "Violation",
    "Vjp",
    "aio",
    "connect",
    "local",
]


def __getattr__(name: str) -> Any:
    # asyncio is imported by those who use it.
    if name == "aio":
        return importlib.import_module("costate.aio")
    raise AttributeError(f"module 'costate' has no attribute {name!r}")
