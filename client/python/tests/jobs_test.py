"""Jobs on the wire: queueing any call, watching over lost connections, ends of all kinds."""

import asyncio
import io
import sys
import threading
import types

import costate
import grpc
import numpy as np
import pytest
from costate import _progress, _proto, _rpc
from fake_jobs import STATES, FakeJobs, fit_result
from fake_server import fail
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

DAYS = np.arange(1.0, 15.0)
Result = _proto.message("JobResult")


@pytest.fixture
def jobs(fake):
    return FakeJobs(fake)


@pytest.fixture
def job(fake, jobs, fake_client):
    """A fit of 4 starts that runs, of a model that is gone when its result is asked for."""
    fake.answers[_rpc.GET_MODEL] = lambda request, context: fail(
        context, grpc.StatusCode.NOT_FOUND, "no such model"
    )
    data = costate.Data(output="in_bed", t=[1.0, 2.0], values=[1.0, 2.0], sigma=1.0)
    job = fake_client.fit("models/" + 32 * "0", data=data, parameters=["b", "k"], starts=4)
    jobs.run(job.name)
    return job


def run_to_the_end(jobs, job):
    for start in range(4):
        jobs.tell_start(job.name, start, 50.0 - start, 50.0 - start, start, 4)
    jobs.tell(job.name, note="3 starts agree")
    jobs.tell_start(job.name, 3, 40.0, 40.0, 4, 4, "FIT_OUTCOME_CONVERGED")
    jobs.end(job.name, result=fit_result(jobs.jobs[job.name].spec.fit, 4))


# Watching


def test_progress_is_typed(jobs, job):
    run_to_the_end(jobs, job)
    events = list(job.progress())
    assert [e.sequence for e in events] == list(range(1, len(events) + 1))
    assert [e.state for e in events] == ["queued"] + ["running"] * 7 + ["succeeded"]
    last = events[-2]
    assert (last.start, last.iteration, last.objective, last.outcome) == (3, 7, 40.0, "converged")
    assert (last.starts, last.starts_done, last.iterations) == (4, 4, 28)
    assert events[6].note == "3 starts agree" and events[6].best_objective == 47.0
    assert events[0].starts == 0 and np.isnan(events[0].fraction)
    assert events[3].fraction == 0.25 and events[-1].fraction == 1.0
    assert str(last) == "start 3, iteration 7: objective 40, converged; best 40"
    assert str(events[1]) == "running"
    assert job.state == "succeeded"


def test_progress_goes_on_where_the_connection_broke(jobs, job):
    run_to_the_end(jobs, job)
    jobs.interruptions = [3, 4, 8]
    events = list(job.progress())
    assert [e.sequence for e in events] == list(range(1, 10))
    assert jobs.watched_from == [1, 4, 5, 9]


def test_progress_from_the_middle(jobs, job):
    run_to_the_end(jobs, job)
    assert [e.sequence for e in job.progress(after=6)] == [7, 8, 9]
    assert list(job.progress(after=9)) == []
    assert job.state == "succeeded"


def test_a_stream_that_ends_early_is_no_end(fake, jobs, job):
    """As when a server drains; the job ends while nobody watches."""
    run_to_the_end(jobs, job)
    whole, early = jobs.watch, []

    def watch(request, context):
        ended = len(early) == 2
        jobs.jobs[job.name].state = STATES["STATE_SUCCEEDED" if ended else "STATE_RUNNING"]
        for message in whole(request, context):
            yield message
            if not ended:
                early.append(message)
                return

    fake.answers[_rpc.WATCH_JOB] = watch
    assert [e.sequence for e in job.progress()] == list(range(1, 10))
    assert len(early) == 2


def test_patience_ends(fake, jobs, job):
    fake.answers[_rpc.WATCH_JOB] = lambda request, context: context.abort(
        grpc.StatusCode.UNAVAILABLE, "gone fishing"
    )
    with pytest.raises(costate.Unavailable, match="gone fishing"):
        list(job.progress(patience=0.3))


def test_other_errors_end_a_watch_at_once(fake, jobs, job):
    fake.answers[_rpc.WATCH_JOB] = lambda request, context: fail(
        context, grpc.StatusCode.NOT_FOUND, "no such job"
    )
    with pytest.raises(costate.NotFound, match="no such job"):
        list(job.progress())


def test_waiting_has_an_end(jobs, job, fake_client):
    with pytest.raises(TimeoutError, match="goes on") as caught:
        job.result(timeout=0.3)
    assert isinstance(caught.value, costate.StillRunning)
    assert caught.value.job == job.name
    with pytest.raises(costate.StillRunning):
        job.wait(timeout=1e-9)
    assert job.refresh().state == "running"


def test_a_quiet_stream_ends_with_the_time(fake, jobs, job):
    ended = threading.Event()

    def watch(request, context):
        context.add_callback(ended.set)
        yield _rpc.WATCH_JOB.response_class(event=jobs.events[job.name][0])
        ended.wait(20)

    fake.answers[_rpc.WATCH_JOB] = watch
    with pytest.raises(costate.StillRunning):
        job.wait(timeout=0.4)
    assert ended.wait(5)


def test_leaving_the_loop_ends_the_stream(fake, jobs, job):
    ended = threading.Event()

    def watch(request, context):
        context.add_callback(ended.set)
        yield _rpc.WATCH_JOB.response_class(event=jobs.events[job.name][0])
        ended.wait(20)

    fake.answers[_rpc.WATCH_JOB] = watch
    for _ in job.progress():
        break
    assert ended.wait(5)


def test_waiting_while_it_runs(jobs, job):
    """The end comes while the client waits."""
    timer = threading.Timer(0.3, run_to_the_end, (jobs, job))
    timer.start()
    result = job.result(timeout=20)
    assert result.objective == 40.0
    assert job.result() is result  # kept
    timer.join()


# Ends


def test_failure_is_typed(jobs, job):
    status = status_pb2.Status(code=3, message="data[0].values[3]: is -1; positive is expected")
    details = error_details_pb2.BadRequest()
    details.field_violations.add(field="fit.data[0].values[3]", description="is -1")
    packed = any_pb2.Any()
    packed.Pack(details)
    status.details.append(packed)
    jobs.end(job.name, "STATE_FAILED", error=status)
    with pytest.raises(costate.JobFailed, match=r"failed: data\[0\]") as caught:
        job.result(timeout=5)
    assert caught.value.job == job.name
    assert caught.value.code == "INVALID_ARGUMENT"
    cause = caught.value.__cause__
    assert isinstance(cause, costate.InvalidRequest)
    assert cause.field == "fit.data[0].values[3]"
    assert job.state == "failed"
    assert isinstance(job.error, costate.JobFailed)
    jobs.jobs[job.name].attempts = 3
    assert job.requeue().state == "queued"
    assert job.error is None


def test_dead_and_cancelled(jobs, job):
    jobs.jobs[job.name].attempts = 3
    jobs.end(job.name, "STATE_DEAD", error=status_pb2.Status(code=13, message="lost 3 leases"))
    with pytest.raises(costate.JobDead, match="given up after 3 attempts: lost 3 leases") as caught:
        job.result()
    assert isinstance(caught.value, costate.JobError)
    assert isinstance(caught.value.__cause__, costate.ServerError)
    job.requeue()
    assert job.cancel().state == "cancelled"
    with pytest.raises(costate.JobCancelled, match="was cancelled"):
        job.result()
    job.delete()
    with pytest.raises(costate.NotFound):
        job.refresh()


def test_refusals(jobs, job):
    with pytest.raises(costate.InvalidRequest, match="the job runs"):
        job.delete()
    with pytest.raises(costate.InvalidRequest, match="has not failed"):
        job.requeue()


# Finding


def test_job_by_name(jobs, job, fake_client):
    for name in (job.name, job.name.partition("/")[2]):
        again = fake_client.job(name)
        assert again == job and hash(again) == hash(job)
        assert again.state == "running"
    with pytest.raises(costate.NotFound):
        fake_client.job("jobs/none")
    with pytest.raises(costate.InvalidRequest):
        fake_client.job("")


def test_list_goes_over_pages(jobs, fake_client):
    submit = fake_client.submit
    for number in range(10):
        submit(name=f"number {number}").solve("models/x", t=(0, 1))
    jobs.run("jobs/" + 32 * "0")
    assert [job.display_name[-1] for job in fake_client.jobs()] == list("9876543210")
    assert len(fake_client.jobs(limit=None)) == 10
    assert [job.display_name[-1] for job in fake_client.jobs(limit=5)] == list("98765")
    assert [job.display_name for job in fake_client.jobs(name="r 7")] == ["number 7"]
    assert [job.display_name for job in fake_client.jobs(state="running")] == ["number 0"]
    assert len(fake_client.jobs(state=["running", "queued"], kind="solve")) == 10
    assert fake_client.jobs(kind=["fit", "profile"]) == []
    with pytest.raises(costate.InvalidRequest, match="did you mean 'running'"):
        fake_client.jobs(state="runing")
    with pytest.raises(costate.InvalidRequest, match="unknown name 'fits'"):
        fake_client.jobs(kind="fits")


# Any call as a job


@pytest.fixture
def real_model(fake, client, sir):
    """The fake server describes a model as the real one does."""
    from costate._model import source_of

    request = _rpc.CREATE_MODEL.request_class(source=source_of(sir), validate_only=True)

    def ask():
        return (yield _rpc.Rpc(_rpc.CREATE_MODEL, request))

    info = client._run(ask())
    fake.answers[_rpc.CREATE_MODEL] = lambda request, context: info
    return sir


LOSS = costate.LeastSquares(output="in_bed", t=DAYS, values=DAYS)
CALLS = {
    "solve": {"save_at": DAYS, "params": {"b": np.linspace(1, 2, 5)}},
    "gradient": {"loss": LOSS, "wrt": ["b"]},
    "sensitivities": {"save_at": DAYS, "wrt": ["b"]},
    "vjp": {"cotangents": costate.Terminal(states={"i": 1.0}), "t": (0, 3)},
    "jvp": {"tangents": {"b": 1.0}, "save_at": DAYS},
    "hvp": {"loss": LOSS, "vectors": {"b": 1.0}},
    "check_gradient": {"loss": LOSS, "methods": ["forward", "backprop"]},
    "stability": {"t": (0, 3), "method": "rk4", "dt": 0.1, "points": 7},
}
METHODS = {
    "solve": _rpc.SOLVE,
    "gradient": _rpc.COMPUTE_GRADIENT,
    "sensitivities": _rpc.COMPUTE_SENSITIVITIES,
    "vjp": _rpc.COMPUTE_VJP,
    "jvp": _rpc.COMPUTE_JVP,
    "hvp": _rpc.COMPUTE_HVP,
    "check_gradient": _rpc.CHECK_GRADIENT,
    "stability": _rpc.ANALYZE_STABILITY,
}


def same(job_result, call_result):
    """Timings aside, which a job does not tell."""
    before, after = vars(call_result), vars(job_result)
    assert type(job_result) is type(call_result)
    for name in before:
        if name in ("timing", "region"):
            continue
        if isinstance(before[name], np.ndarray):
            assert before[name].tobytes() == after[name].tobytes(), name
        elif isinstance(before[name], (str, float, int, tuple)):
            assert repr(before[name]) == repr(after[name]), name


@pytest.mark.parametrize("call", CALLS)
def test_any_call_is_a_job(fake, jobs, client, fake_client, real_model, call):
    """The very request of the call, and what the real server answers is the same in the hand."""
    job = getattr(fake_client.submit(name="x", priority=3), call)(real_model, **CALLS[call])
    spec = fake.requests[-1].spec
    assert spec.WhichOneof("request") == call == job.kind
    assert (spec.display_name, spec.priority) == ("x", 3)

    def ask():
        return (yield _rpc.Rpc(METHODS[call], getattr(spec, call)))

    result = Result()
    answer = client._run(ask())
    answer.ClearField("timing")
    getattr(result, call).CopyFrom(answer)
    if call == "stability":
        fake.answers[_rpc.COMPUTE_STABILITY_REGION] = lambda request, context: client._run(
            _ask(_rpc.COMPUTE_STABILITY_REGION, request)
        )
    jobs.run(job.name)
    jobs.end(job.name, result=result)
    same(job.result(), getattr(client, call)(real_model, **CALLS[call]))


def _ask(method, request):
    return (yield _rpc.Rpc(method, request))


@pytest.mark.parametrize("points", [50, 1100])
def test_regions_as_jobs(fake, jobs, client, fake_client, points):
    """Also those that would be streamed, for which the job's request has no stream."""
    job = fake_client.submit.stability_region("rk4", coupling=0.8, points=points)
    request = fake.requests[-1].spec.stability_region
    assert request.window.real_points == points and request.want_raster
    if points == 1100:
        return
    result = Result()
    result.stability_region.CopyFrom(client._run(_ask(_rpc.COMPUTE_STABILITY_REGION, request)))
    jobs.end(job.name, result=result)
    region = client.stability_region("rk4", coupling=0.8, points=points)
    assert job.result().radius.tobytes() == region.radius.tobytes()
    assert job.result().real_interval == region.real_interval


def test_what_is_wrong_with_a_call_is_said_before(jobs, fake_client, real_model):
    with pytest.raises(costate.InvalidRequest, match="rk5"):
        fake_client.submit.solve(real_model, method="rk5")
    with pytest.raises(costate.InvalidRequest, match="unknown name 'z'"):
        fake_client.submit.jvp(real_model, tangents={"z": 1.0})
    assert not jobs.jobs


def test_one_key_is_one_job(fake, jobs, fake_client):
    first = fake_client.submit(idempotency_key="a").solve("models/x", t=(0, 1))
    again = fake_client.submit(idempotency_key="a").solve("models/x", t=(0, 1))
    other = fake_client.submit.solve("models/x", t=(0, 1))
    assert first == again != other
    assert len(jobs.jobs) == 2


def test_queueing_is_tried_again_as_the_same_job(fake, jobs, fake_client):
    """The answer to the first try is lost."""
    lost = []

    def create(request, context):
        answer = jobs.create(request, context)
        if not lost:
            lost.append(request.idempotency_key)
            context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        return answer

    fake.answers[_rpc.CREATE_JOB] = create
    fake_client.submit.solve("models/x", t=(0, 1))
    assert len(jobs.jobs) == 1 and lost[0]


def test_help_of_submitted_calls():
    text = costate.Submit.gradient.__doc__
    assert text.startswith("Queues `gradient` as a job")
    assert "loss : LeastSquares" in text


# Pictures of progress


def show(jobs, job, **more):
    run_to_the_end(jobs, job)
    return [print(p) for p in job.progress(**more)]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bar_in_a_terminal(jobs, job, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "120")
    show(jobs, job)
    lines = stream.getvalue().split("\r\x1b[K")
    assert any("1/4 starts, best 49" in line for line in lines)
    assert lines[-1].endswith("\n") and "4/4 starts, succeeded, best 40, 28 iterations" in lines[-1]
    # What the loop prints finds an empty line: each text is taken away before.
    assert len(lines) == 2 * 9 and set(lines[::2]) == {""}


def test_no_bar_where_nobody_looks(jobs, job, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    show(jobs, job)
    assert stream.getvalue() == ""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    list(job.progress(bar=False))
    assert stream.getvalue() == ""


def test_bar_in_a_notebook(jobs, job, monkeypatch):
    shown = []

    class Handle:
        def update(self, what):
            shown.append(what)

    def display(what, display_id):
        shown.append(what)
        return Handle()

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    show(jobs, job)
    assert "4/4 starts, succeeded" in shown[-1]._repr_html_()
    assert "value='1.0000'" in shown[-1]._repr_html_()


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_status_line_fits(jobs, job, width):
    run_to_the_end(jobs, job)
    for event in job.progress():
        line = _progress.status_line("a fit with a long name", event, 3700.0, width)
        assert len(line) <= width
    assert _progress.status_line("x", event, 3700.0, 200).endswith("1:01:40")


def test_how_a_job_shows_itself(jobs, job):
    jobs.jobs[job.name].best_objective = 12.5
    jobs.jobs[job.name].fit.starts = 4
    job.refresh()
    assert repr(job) == f"<costate.Job {job.name}: fit, running>"
    assert "0 of 4 starts" in job._repr_html_() and "12.5" in job._repr_html_()
    found = job.to_dict()
    assert found["best_objective"] == 12.5 and found["starts"] == 4 and found["error"] is None


# asyncio


def test_async_twin(fake, jobs, job):
    async def use():
        async with costate.aio.connect(fake.address, timeout=10) as client:
            data = costate.Data(output="in_bed", t=[1.0, 2.0], values=[1.0, 2.0], sigma=1.0)
            job = await client.fit("models/x", data=data, parameters=["b", "k"], starts=4)
            jobs.run(job.name)
            run_to_the_end(jobs, job)
            jobs.interruptions = [3, 5]
            events = [e.sequence async for e in job.progress()]
            assert events == list(range(1, 10))
            assert jobs.watched_from[:3] == [1, 4, 6]
            assert (await job.result()).objective == 40.0
            assert (await client.job(job.name)).state == "succeeded"
            other = await client.submit(name="other").solve("models/x", t=(0, 1))
            assert [j.display_name for j in await client.jobs()] == ["other", "", ""]
            with pytest.raises(costate.StillRunning):
                await other.wait(0.2)
            assert (await other.cancel()).state == "cancelled"
            with pytest.raises(costate.JobCancelled):
                await other.result()
            await other.delete()
            with pytest.raises(costate.NotFound):
                await other.refresh()
            profile = await client.profile(job, "b")
            assert profile.kind == "profile"

    asyncio.run(use())


def test_results_of_unknown_models_have_no_names(jobs, job):
    """The model was registered and is deleted; the estimates are there."""
    run_to_the_end(jobs, job)
    result = job.result()
    assert result.best["b"] == 1.5
    assert list(result.trajectories[""].states) == []


def test_success_without_a_result(jobs, job):
    jobs.end(job.name)
    with pytest.raises(costate.ServerError, match="no result"):
        job.result()
