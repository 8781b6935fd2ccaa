"""A real server process that is killed, paused and restarted, and bare stubs to talk to it.

The stubs are made from descriptors alone: nothing of the client's retries stands between test and
server.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

import grpc
from costate import _proto
from costate._local import find_binary

OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.max_receive_message_length", 256 << 20),
]
ENDED = {"STATE_SUCCEEDED", "STATE_FAILED", "STATE_CANCELLED", "STATE_DEAD"}
STATES = {number: name for name, number in _proto.enum_of_message("Job", "State").items()}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Costated:
    """The program on a port and a data directory of its own, through many lives."""

    def __init__(self, directory, *flags, lease="1s", checkpoint="0s"):
        self.directory = pathlib.Path(directory)
        self.address = f"127.0.0.1:{free_port()}"
        self.log_path = self.directory / "log"
        self._flags = [
            f"--address={self.address}",
            f"--data-directory={self.directory / 'jobs'}",
            f"--cache-directory={self.directory / 'kernels'}",
            f"--port-file={self.directory / 'port'}",
            f"--job-lease={lease}",
            f"--job-checkpoint={checkpoint}",
            "--threads=2",
            "--drain-grace=1s",
            *flags,
        ]
        self._process = None

    def start(self, crash_at=None, wait=True):
        """`crash_at`: a place of server/jobs/crash_points.h, as "after_claim:3"."""
        (self.directory / "port").unlink(missing_ok=True)
        environment = dict(os.environ)
        environment.pop("COSTATE_CRASH_AT", None)
        if crash_at is not None:
            environment["COSTATE_CRASH_AT"] = crash_at
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                [find_binary(), *self._flags], env=environment, stdout=log, stderr=log
            )
        if wait:
            self.await_serving()
        return self

    def await_serving(self, timeout=60):
        """False when the process ended before it served."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if (self.directory / "port").exists():
                return True
            if self._process.poll() is not None:
                return False
            time.sleep(0.005)
        raise TimeoutError("costated does not serve")

    @property
    def pid(self):
        return self._process.pid

    def running(self):
        return self._process is not None and self._process.poll() is None

    def signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        if self.running():
            self._process.kill()
        if self._process is not None:
            self._process.wait()

    def terminate(self):
        self.signal(signal.SIGTERM)
        return self._process.wait(60)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident_bytes(self):
        pages = int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


class Stub:
    """JobService, message in, message out."""

    def __init__(self, address):
        self._channel = grpc.insecure_channel(address, OPTIONS)

    def close(self):
        self._channel.close()

    def _call(self, name, request, timeout=5, wait_for_ready=True):
        method = self._channel.unary_unary(
            f"/costate.v1.JobService/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=_proto.message(f"{name}Response").FromString,
        )
        return method(request, timeout=timeout, wait_for_ready=wait_for_ready)

    def create(self, spec, key="", **how):
        request = _proto.message("CreateJobRequest")(spec=spec, idempotency_key=key)
        return self._call("CreateJob", request, **how).job

    def get(self, name, **how):
        return self._call("GetJob", _proto.message("GetJobRequest")(name=name), **how).job

    def cancel(self, name, **how):
        return self._call("CancelJob", _proto.message("CancelJobRequest")(name=name), **how).job

    def requeue(self, name, **how):
        return self._call("RequeueJob", _proto.message("RequeueJobRequest")(name=name), **how).job

    def list(self):
        jobs, token = [], ""
        while True:
            request = _proto.message("ListJobsRequest")(page_size=1000, page_token=token)
            page = self._call("ListJobs", request)
            jobs += page.jobs
            token = page.next_page_token
            if not token:
                return jobs

    def watch(self, name, from_sequence=1, timeout=60):
        """Yields events; raises grpc.RpcError when the stream breaks."""
        method = self._channel.unary_stream(
            "/costate.v1.JobService/WatchJob",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=_proto.message("WatchJobResponse").FromString,
        )
        request = _proto.message("WatchJobRequest")(name=name, from_sequence=from_sequence)
        for response in method(request, timeout=timeout, wait_for_ready=True):
            yield response.event

    def await_end(self, name, timeout=60):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            job = self.get(name)
            if STATES[job.state] in ENDED:
                return job
            time.sleep(0.02)
        raise TimeoutError(f"{name} is still {STATES[job.state]}")


@contextlib.contextmanager
def serving(*flags, directory=None, **options):
    """A server and a stub to it, both gone at the end."""
    with tempfile.TemporaryDirectory(prefix="costate-ledger-") as own:
        server = Costated(directory or own, *flags, **options).start()
        stub = Stub(server.address)
        try:
            yield server, stub
        finally:
            stub.close()
            server.kill()


# ---- requests, small enough to be carried out by the hundred

_DECAY = "param a = 1 in [0, 10]\nparam k = 1 in [0, 10]\nstate x = a\nx' = -k*x\noutput y = x\n"


def _simulation(**more):
    simulation = _proto.message("Simulation")(t1=[4], **more)
    simulation.model.text = _DECAY
    return simulation


def _values(*values):
    return _proto.message("Array")(values=values)


def fit(method="FIT_METHOD_LEVENBERG_MARQUARDT", **options):
    spec = _proto.message("JobSpec")()
    spec.fit.simulation.CopyFrom(_simulation())
    series = spec.fit.data.add(output="y")
    series.times.CopyFrom(_values(0, 1, 2, 3, 4))
    series.values.CopyFrom(_values(2.0, 1.0, 0.5, 0.24, 0.12))
    series.sigma.CopyFrom(_values(0.02))
    for name in "ak":
        free = spec.fit.free.add(name=name, lower=0.1, upper=10)
        free.scale = _proto.enum("ParameterScale")["PARAMETER_SCALE_LOG10"]
    spec.fit.options.method = _proto.enum("FitMethod")[method]
    for name, value in options.items():
        setattr(spec.fit.options, name, value)
    return spec


def slow_fit(iterations):
    """A checkpoint an iteration, and no end before the last one."""
    return fit(
        "FIT_METHOD_ADAM",
        max_iterations=iterations,
        learning_rate=1e-4,
        function_tolerance=0,
        gradient_tolerance=0,
        step_tolerance=0,
    )


def profile(best):
    spec = _proto.message("JobSpec")()
    spec.profile.fit.CopyFrom(fit().fit)
    spec.profile.best.CopyFrom(_values(*best))
    spec.profile.max_points = 10
    return spec


def solve():
    spec = _proto.message("JobSpec")()
    spec.solve.simulation.CopyFrom(_simulation())
    return spec


def gradient():
    spec = _proto.message("JobSpec")()
    spec.gradient.simulation.CopyFrom(_simulation())
    term = spec.gradient.loss.terms.add()
    term.least_squares.output = "y"
    term.least_squares.times.CopyFrom(_values(1, 2))
    term.least_squares.values.CopyFrom(_values(1, 0.5))
    return spec
