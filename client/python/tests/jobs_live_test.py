"""Jobs of a real server: their results, their lives, and what survives a kill."""

import asyncio
import datetime
import json
import math
import os
import signal
import threading
import time

import costate
import numpy as np
import pytest
import witness
from costate import _cli
from fit_live_test import HARE_LYNX, HARE_LYNX_FREE, YEARS
from jobs_test import CALLS, same

DECAY = costate.Model("model decay\nparam k = 0.5\nstate y = 2\ny' = -k*y")


def pelts(client, starts=8, **options):
    data = [
        costate.Data(state="hare", t=YEARS, values=witness.HARE, noise="log_normal"),
        costate.Data(state="lynx", t=YEARS, values=witness.LYNX, noise="log_normal"),
    ]
    return client.fit(
        HARE_LYNX, data=data, parameters=HARE_LYNX_FREE, starts=starts, seed=3, **options
    )


def long_fit(client, **options):
    """Tens of seconds, if it is let."""
    return pelts(client, starts=20_000, rtol=1e-12, atol=1e-12, **options)


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def same_fit(one, other):
    assert one.names == other.names
    assert [s.index for s in one.starts] == [s.index for s in other.starts]
    for mine, twin in zip(one.starts, other.starts):
        assert mine.values.tobytes() == twin.values.tobytes()
        assert mine.trace.tobytes() == twin.trace.tobytes()
        assert (mine.outcome, mine.iterations) == (twin.outcome, twin.iterations)
    assert one.covariance.tobytes() == other.covariance.tobytes()
    assert one.fitted[0].tobytes() == other.fitted[0].tobytes()


# Any call


@pytest.mark.parametrize("call", CALLS)
def test_calls_and_jobs_give_the_same_bits(client, sir, call):
    job = getattr(client.submit, call)(sir, **CALLS[call])
    assert job.kind == call
    same(job.result(timeout=30), getattr(client, call)(sir, **CALLS[call]))
    assert job.state == "succeeded" and job.started and job.finished


def test_regions_as_jobs(client):
    job = client.submit.stability_region("rk4", coupling=0.8, points=50)
    region = client.stability_region("rk4", coupling=0.8, points=50)
    assert job.result(timeout=30).radius.tobytes() == region.radius.tobytes()


def test_a_solve_that_ends_early_is_a_result(client):
    job = client.submit.solve("state y = 1\ny' = y^2", t=(0, 2))
    solution = job.result(timeout=30)
    assert not solution.success and solution.status.detail


def test_what_the_server_kinds_are(client):
    info = client.server_info()
    assert {"fit", "profile", "solve", "gradient", "stability_region"} <= set(info.job_kinds)
    assert "costate.v1.JobService/CreateJob" not in info.unimplemented


# Lives


def test_progress_of_a_fit(client):
    job = pelts(client, starts=16)
    events = list(job.progress(timeout=60))
    assert [e.sequence for e in events] == list(range(1, len(events) + 1))
    assert events[0].state == "queued" and events[-1].state == "succeeded"
    told = [e for e in events if e.start is not None]
    assert told and told[-1].starts == 16
    best = [e.best_objective for e in told]
    assert all(b <= a for a, b in zip(best, best[1:]))
    done = [e.starts_done for e in told]
    assert done == sorted(done)
    result = job.result()
    assert job.starts == (16, 16)
    assert job.best_objective == pytest.approx(result.objective, rel=1e-12)
    # Again from the middle, and from another client.
    middle = events[len(events) // 2].sequence
    with costate.connect(client.address) as other:
        again = [e.sequence for e in other.job(job.name).progress(after=middle)]
    assert again == list(range(middle + 1, len(events) + 1))


def test_another_client_finds_it(client):
    job = pelts(client, name="to be found", retention=datetime.timedelta(hours=1))
    with costate.connect(client.address) as other:
        again = other.job(job.name)
        assert again.display_name == "to be found"
        found = again.result(timeout=60)
        assert job.name in {j.name for j in other.jobs(name="be found", kind="fit")}
    same_fit(found, job.result(timeout=60))
    assert [s.label for s in found.series] == ["hare", "lynx"]
    assert set(found.trajectories[""].states) == {"hare", "lynx"}


def test_one_key_is_one_job(client):
    key = f"key-{time.time_ns()}"
    first = pelts(client, idempotency_key=key)
    assert pelts(client, idempotency_key=key).name == first.name
    first.wait(60)
    assert pelts(client, idempotency_key=key).name == first.name
    with pytest.raises(costate.InvalidRequest) as caught:
        pelts(client, starts=9, idempotency_key=key)
    assert caught.value.code == "ALREADY_EXISTS"
    assert caught.value.field == "idempotency_key"


def test_cancel(client):
    job = long_fit(client)
    wait_for(lambda: job.refresh().state == "running")
    job.cancel()
    job.wait(timeout=10)
    assert job.state == "cancelled"
    with pytest.raises(costate.JobCancelled):
        job.result()
    assert job.cancel().state == "cancelled"  # Once more changes nothing.
    job.delete()
    with pytest.raises(costate.NotFound):
        client.job(job.name)


def test_running_jobs_are_not_deleted(client):
    job = long_fit(client)
    with pytest.raises(costate.InvalidRequest) as caught:
        job.delete()
    assert caught.value.code == "FAILED_PRECONDITION"
    with pytest.raises(costate.InvalidRequest):
        job.requeue()
    with pytest.raises(TimeoutError):
        job.result(timeout=0.2)
    job.cancel().wait(10)
    job.requeue()
    wait_for(lambda: job.refresh().state == "running")
    job.cancel().wait(10)


def test_deadlines(client):
    job = long_fit(client, deadline=1.0)
    job.wait(timeout=20)
    assert job.state == "failed"
    with pytest.raises(costate.JobFailed, match="deadline"):
        job.result()


def test_priority(client):
    """With the workers busy, what is more urgent begins first."""
    busy = [long_fit(client) for _ in range(client.server_info().compute_threads + 2)]
    wait_for(lambda: any(job.refresh().state == "running" for job in busy))
    low, high = (client.submit(priority=priority).solve(DECAY, t=(0, 1)) for priority in (-10, 10))
    for job in busy:
        job.cancel()
    low.wait(60)
    high.wait(60)
    assert high.started <= low.started


def test_asyncio(client):
    async def use():
        async with costate.aio.connect(client.address) as twin:
            job = await twin.submit.solve(DECAY, t=(0, 1))
            solution = await job.result(timeout=30)
            fit = pelts_async = await twin.fit(
                DECAY,
                data=costate.Data(state="y", t=[1.0, 2.0], values=[1.0, 0.5], sigma=0.1),
                parameters=["k"],
            )
            events = [e async for e in pelts_async.progress(timeout=30)]
            assert events[-1].state == "succeeded"
            profile = await twin.profile(fit, "k")
            assert list(await profile.result(timeout=30)) == ["k"]
            return solution

    assert asyncio.run(use()).final["y"] == client.solve(DECAY, t=(0, 1)).final["y"]


# What survives


def kill(server):
    os.kill(server.pid, signal.SIGKILL)


def test_nothing_is_lost_by_a_kill(tmp_path):
    """The same bits as without it; the stream goes on by itself, without gap or repeat."""
    with costate.local(data_directory=tmp_path) as client:
        calm = pelts(client, starts=1500).result(timeout=60)
        short = client.submit.solve(DECAY, t=(0, 1))
        before = short.result(timeout=30)
        job = pelts(client, starts=1500)
        seen, restarts = [], []
        for event in job.progress(timeout=90):
            seen.append(event.sequence)
            if not restarts and event.iterations > event.starts:
                kill(client.server)
                # It comes back while the client tries.
                restarts.append(threading.Timer(0.5, client.server.restart))
                restarts[0].start()
        restarts[0].join()
        assert seen == list(range(1, len(seen) + 1))
        assert job.attempts > 1
        same_fit(job.result(), calm)
        assert client.job(short.name).result().final["y"] == before.final["y"]


def test_a_queue_survives_its_server(tmp_path):
    with costate.local(data_directory=tmp_path, arguments=["--job-workers=0"]) as client:
        jobs = [client.submit(name=f"number {n}").solve(DECAY, t=(0, 1 + n)) for n in range(5)]
        assert {job.refresh().state for job in jobs} == {"queued"}
        kill(client.server)
    with costate.local(data_directory=tmp_path) as client:
        assert [job.display_name for job in client.jobs()] == [f"number {4 - n}" for n in range(5)]
        for number, job in enumerate(jobs):
            end = client.job(job.name).result(timeout=30).final["y"]
            assert end == pytest.approx(2 * math.exp(-0.5 * (1 + number)), rel=1e-5)


def test_a_drained_server_leaves_its_jobs_to_the_next(tmp_path):
    with costate.local(data_directory=tmp_path) as client:
        job = pelts(client, starts=1500)
        for event in job.progress():
            if event.iterations > event.starts:
                break
    with costate.local(data_directory=tmp_path) as client:
        assert client.job(job.name).result(timeout=60).starts_at_best >= 750


def test_two_servers_do_not_share_a_directory(tmp_path):
    with (
        costate.local(data_directory=tmp_path),
        pytest.raises(costate.ServerStartError, match=r"in use|lock|another"),
    ):
        costate.local(data_directory=tmp_path)


def test_a_server_without_jobs_says_so():
    with costate.local(arguments=["--data-directory=none"]) as client:
        assert client.server_info().job_kinds == ()
        with pytest.raises(costate.Unimplemented):
            client.submit.solve(DECAY, t=(0, 1))


# The command


def test_the_command_from_queue_to_result(client, tmp_path, capsys):
    def run(*words, code=0):
        ended = _cli.main(["jobs", *words, "--address", client.address])
        said = capsys.readouterr()
        assert ended == code, said.err
        return said.out

    job = pelts(client, starts=16, name="pelts by command")
    assert "succeeded" in run("watch", job.name)
    assert "pelts by command" in run("list", "--kind", "fit", "--state", "succeeded")
    assert json.loads(run("show", job.name, "--json"))["starts_done"] == 16
    assert "sigma(lynx)" in run("result", job.name[:14])
    run("result", job.name, "--output", str(tmp_path / "fit.npz"))
    with np.load(tmp_path / "fit.npz") as arrays:
        assert arrays["best.a"] == job.result()["a"]
    solve = client.submit.solve(DECAY, t=(0, 1))
    solve.wait(30)
    states = json.loads(run("result", solve.name, "--json"))["states"]
    assert states[-1][0] == client.solve(DECAY, t=(0, 1)).final["y"]
    other = long_fit(client)
    assert "cancelled" in run("cancel", other.name)
    run("watch", other.name, code=3)
    run("result", other.name, code=3)
    run("delete", other.name, job.name)
    run("show", job.name, code=1)
