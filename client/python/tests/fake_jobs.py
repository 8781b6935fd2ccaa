"""Jobs for the fake server: they do nothing, and end when a test says so."""

import grpc
import numpy as np
from costate import _proto, _rpc
from costate._arrays import to_proto
from fake_server import fail

Job = _proto.message("Job")
JobEvent = _proto.message("JobEvent")
FitResult = _proto.message("FitResult")
STATES = _proto.enum_of_message("Job", "State")
OUTCOMES = _proto.enum("FitOutcome")


class FakeJobs:
    """`jobs` by name. A watch tells `events`, and ends when the job has ended; `interruptions` are
    the numbers of events after which the next watches break."""

    def __init__(self, fake):
        self.jobs, self.events, self.keys = {}, {}, {}
        self.interruptions, self.watched_from = [], []
        for name in ("create", "get", "list", "watch", "cancel", "delete", "requeue"):
            fake.answers[getattr(_rpc, f"{name.upper()}_JOB{'S' if name == 'list' else ''}")] = (
                getattr(self, name)
            )

    def create(self, request, context):
        known = self.keys.get(request.idempotency_key)
        if known is not None:
            return _rpc.CREATE_JOB.response_class(job=self.jobs[known])
        job = Job(
            name=f"jobs/{len(self.jobs):032x}",
            state=STATES["STATE_QUEUED"],
            spec=request.spec,
            kind=request.spec.WhichOneof("request"),
            display_name=request.spec.display_name,
            priority=request.spec.priority,
            tasks=1,
        )
        job.create_time.GetCurrentTime()
        self.jobs[job.name] = job
        self.events[job.name] = []
        self.keys[request.idempotency_key] = job.name
        self.tell(job.name, state=job.state)
        return _rpc.CREATE_JOB.response_class(job=job)

    def find(self, name, context):
        if name not in self.jobs:
            fail(context, grpc.StatusCode.NOT_FOUND, f'name: "{name}" is no job of this server')
        return self.jobs[name]

    def get(self, request, context):
        return _rpc.GET_JOB.response_class(job=self.find(request.name, context))

    def list(self, request, context):
        found = [
            job
            for job in reversed(self.jobs.values())
            if (not request.states or job.state in request.states)
            and (not request.kinds or job.kind in request.kinds)
            and request.display_name_contains in job.display_name
        ]
        first = int(request.page_token or 0)
        last = first + min(request.page_size, 3)
        response = _rpc.LIST_JOBS.response_class(jobs=found[first:last])
        for job in response.jobs:
            job.ClearField("spec")
            job.ClearField("result")
        if last < len(found):
            response.next_page_token = str(last)
        return response

    def watch(self, request, context):
        job = self.find(request.name, context)
        self.watched_from.append(request.from_sequence)
        stop = self.interruptions.pop(0) if self.interruptions else None
        for event in self.events[request.name]:
            if event.sequence < request.from_sequence:
                continue
            yield _rpc.WATCH_JOB.response_class(event=event)
            if event.sequence == stop:
                fail(context, grpc.StatusCode.UNAVAILABLE, "Socket closed")
        if job.state <= STATES["STATE_RUNNING"]:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the server is shutting down")

    def cancel(self, request, context):
        job = self.find(request.name, context)
        if job.state <= STATES["STATE_RUNNING"]:
            job.cancel_requested = True
            self.end(job.name, "STATE_CANCELLED")
        return _rpc.CANCEL_JOB.response_class(job=job)

    def delete(self, request, context):
        if self.find(request.name, context).state <= STATES["STATE_RUNNING"]:
            fail(context, grpc.StatusCode.FAILED_PRECONDITION, "name: the job runs")
        del self.jobs[request.name]
        return _rpc.DELETE_JOB.response_class()

    def requeue(self, request, context):
        job = self.find(request.name, context)
        if job.state <= STATES["STATE_SUCCEEDED"]:
            fail(context, grpc.StatusCode.FAILED_PRECONDITION, "name: the job has not failed")
        job.ClearField("error")
        job.state = STATES["STATE_QUEUED"]
        self.tell(job.name, state=job.state)
        return _rpc.REQUEUE_JOB.response_class(job=job)

    def tell(self, name, **event):
        events = self.events[name]
        events.append(JobEvent(sequence=len(events) + 1, **event))
        events[-1].time.GetCurrentTime()
        self.jobs[name].last_event = len(events)

    def tell_start(self, name, start, objective, best, done, of, outcome=""):
        self.tell(
            name,
            fit_progress={
                "start": start,
                "iteration": 7,
                "objective": objective,
                "gradient_norm": 0.5,
                "best_objective": best,
                "summary": {"starts": of, "starts_done": done, "iterations": 7 * (start + 1)},
                "outcome": OUTCOMES[outcome] if outcome else 0,
            },
        )

    def run(self, name):
        self.jobs[name].state = STATES["STATE_RUNNING"]
        self.jobs[name].start_time.GetCurrentTime()
        self.tell(name, state=STATES["STATE_RUNNING"])

    def end(self, name, state="STATE_SUCCEEDED", result=None, error=None):
        job = self.jobs[name]
        job.state = STATES[state]
        job.end_time.GetCurrentTime()
        if result is not None:
            job.result.CopyFrom(result)
        if error is not None:
            job.error.MergeFromString(error.SerializeToString())
        self.tell(name, state=job.state)


def fit_result(request, starts=12, seed=3):
    """A plausible answer to a fit of two parameters, of the figures of a straight line."""
    random = np.random.default_rng(seed)
    names = [free.name for free in request.free]
    best = np.array([1.5, 0.4])[: len(names)]
    found = FitResult(names=names, unidentified=["k: the data hardly change along it"])
    found.starts_at_best = 0
    excess = np.sort(np.where(np.arange(starts) < starts // 2, 0.0, random.gamma(2, 20, starts)))
    for index, above in enumerate(excess):
        lost = index == starts - 1
        values = best * (1 + 0.01 * above)
        found.starts_at_best += bool(above < 0.1 and not lost)
        trace = 40.0 + above + 1000.0 * np.exp(-1.3 * np.arange(14))
        found.starts.add(
            index=(index * 5) % starts,
            outcome=OUTCOMES["FIT_OUTCOME_DIVERGED" if lost else "FIT_OUTCOME_CONVERGED"],
            objective=np.inf if lost else 40.0 + above,
            start_values=to_proto(random.uniform(0.01, 10, len(names))),
            values=to_proto(values),
            iterations=13,
            evaluations=20,
            trace=to_proto(np.full(1, np.inf) if lost else trace),
            detail="the first solve became infinite" if lost else "a tolerance was met",
            gradient_norm=1e-9,
        )
    for name, value in zip(names, best):
        found.estimates.add(
            name=name,
            value=value,
            lower=0.01,
            upper=10.0,
            standard_error=np.nan if name == "k" else 0.05,
            interval_lower=np.nan if name == "k" else value - 0.1,
            interval_upper=np.nan if name == "k" else value + 0.1,
        )
    square = np.full((len(names),) * 2, np.nan)
    square[0, 0] = 0.0025
    found.covariance.CopyFrom(to_proto(square))
    found.correlation.CopyFrom(to_proto(np.where(np.isnan(square), np.nan, 1.0)))
    found.fisher_information.CopyFrom(to_proto(np.diag([400.0, 0.0])[: len(names), : len(names)]))
    found.eigenvalues.CopyFrom(to_proto(np.array([0.0, 400.0])[: len(names)]))
    for series in request.data:
        values = np.frombuffer(series.values.data)
        found.fitted.append(to_proto(values + 1.0))
        found.residuals.append(to_proto(np.full(len(values), -0.5)))
    for condition in request.conditions or [None]:
        t = np.linspace(0, 14, 200)
        found.trajectories.add(
            condition=condition.name if condition else "",
            times=to_proto(t),
            outputs=to_proto(20.0 * t[:, None]),
            states=to_proto(np.stack([t, 20.0 * t, t**2], axis=1)),
        )
    found.options.CopyFrom(request.options)
    return _proto.message("JobResult")(fit=found)
