"""The command line: what it prints, for people and programs, and its exit codes."""

import json
import subprocess
import sys

import costate
import numpy as np
import pytest
from costate import _cli, _proto
from costate._arrays import to_proto
from fake_jobs import FakeJobs, fit_result
from google.rpc import status_pb2

Result = _proto.message("JobResult")


@pytest.fixture
def jobs(fake):
    return FakeJobs(fake)


@pytest.fixture
def run(fake, capsys):
    """Runs the command; returns exit code, standard output and standard error."""

    def run(*arguments):
        code = _cli.main(["jobs", *arguments, "--address", fake.address])
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


@pytest.fixture
def no_model(fake):
    import grpc
    from costate import _rpc
    from fake_server import fail

    fake.answers[_rpc.GET_MODEL] = lambda request, context: fail(
        context, grpc.StatusCode.NOT_FOUND, "no such model"
    )


@pytest.fixture
def job(jobs, fake_client, no_model):
    data = costate.Data(output="in_bed", t=[1.0, 2.0], values=[1.0, 2.0], sigma=1.0)
    job = fake_client.fit("models/x", data=data, parameters=["b", "k"], starts=4, name="flu")
    jobs.run(job.name)
    return job


def finish(jobs, job):
    jobs.tell_start(job.name, 3, 40.0, 40.0, 4, 4, "FIT_OUTCOME_CONVERGED")
    jobs.end(job.name, result=fit_result(jobs.jobs[job.name].spec.fit, 4))


def test_list(jobs, job, run, fake_client):
    for number in range(4):
        fake_client.submit(name=f"number {number}").solve("models/x", t=(0, 1))
    code, out, _ = run("list")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["JOB", "KIND", "STATE", "DONE", "BEST", "AGE", "TITLE"]
    assert len(lines) == 6
    assert "number 3" in lines[1] and "flu" in lines[5] and "running" in lines[5]
    code, out, err = run("list", "--kind", "solve", "--limit", "2")
    assert len(out.splitlines()) == 3 and "--all" in err
    assert len(run("list", "--state", "running", "--all")[1].splitlines()) == 2
    assert run("list", "--title", "nothing")[:2] == (0, "")
    assert job.name in run("list", "--full")[1]
    found = json.loads(run("list", "--json")[1])
    assert found[-1]["name"] == job.name and found[-1]["state"] == "running"
    assert found[-1]["best_objective"] is None
    assert run("list", "--state", "odd")[0] == 1


def test_lists_fit_the_terminal(jobs, fake_client, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    fake_client.submit(name="a title that is much longer than any line").solve("models/x", t=1)
    out = run("list")[1]
    assert all(len(line) <= 60 for line in out.splitlines())
    assert out.rstrip().endswith("~")


def test_show(jobs, job, run):
    code, out, _ = run("show", job.name)
    assert code == 0
    assert job.name in out and "running" in out and "flu" in out
    assert json.loads(run("show", job.name, "--json")[1])["kind"] == "fit"
    code, _, err = run("show", "jobs/none")
    assert code == 1 and "no job" in err


def test_first_digits_will_do(jobs, job, run, fake_client):
    digits = job.name.partition("/")[2]
    assert run("show", digits)[0] == 0
    jobs.jobs["jobs/abcd" + 28 * "1"] = jobs.jobs.pop(job.name)
    jobs.jobs["jobs/abcd" + 28 * "1"].name = "jobs/abcd" + 28 * "1"
    assert "abcd11" in run("show", "abcd")[1]
    fake_client.submit.solve("models/x", t=1)
    other = next(name for name in jobs.jobs if "abcd" not in name)
    jobs.jobs["jobs/abcd" + 28 * "2"] = jobs.jobs.pop(other)
    jobs.jobs["jobs/abcd" + 28 * "2"].name = "jobs/abcd" + 28 * "2"
    code, _, err = run("show", "abcd")
    assert code == 1 and "2 jobs begin with 'abcd'" in err
    assert "abcd22" in run("show", "abcd2")[1]


def test_watch(jobs, job, run):
    finish(jobs, job)
    code, out, _ = run("watch", job.name)
    assert code == 0
    lines = [line.partition("  ")[2] for line in out.splitlines()]
    assert lines[0] == "queued" and lines[1] == "running" and lines[-1] == "succeeded"
    assert lines[2] == "start 3, iteration 7: objective 40, converged; best 40"
    events = [json.loads(line) for line in run("watch", job.name, "--json")[1].splitlines()]
    assert [event["sequence"] for event in events] == [1, 2, 3, 4]
    assert events[0]["best_objective"] is None and events[2]["best_objective"] == 40.0
    assert len(run("watch", job.name, "--after", "2")[1].splitlines()) == 2


def test_watch_ends_with_the_time(jobs, job, run):
    code, _, err = run("watch", job.name, "--timeout", "0.3")
    assert code == 4 and "goes on" in err


def test_watch_tells_failure(jobs, job, run):
    jobs.end(job.name, "STATE_FAILED", error=status_pb2.Status(code=3, message="bounds crossed"))
    code, _, err = run("watch", job.name)
    assert code == 3 and "bounds crossed" in err


def test_result_as_a_table(jobs, job, run):
    code, _, err = run("result", job.name)
    assert code == 4 and "--wait" in err
    finish(jobs, job)
    code, out, _ = run("result", job.name, "--wait")
    assert code == 0
    assert "std. error" in out and "starts agree" in out


def test_result_in_files(jobs, job, run, tmp_path):
    finish(jobs, job)
    assert json.loads(run("result", job.name, "--json")[1])["best"] == {"b": 1.5, "k": 0.4}
    path = tmp_path / "fit.json"
    code, out, _ = run("result", job.name, "--output", str(path))
    assert code == 0 and "wrote" in out
    found = json.loads(path.read_text())
    assert found["covariance"] == [[0.0025, None], [None, None]]  # NaN has no JSON
    path = tmp_path / "fit.npz"
    assert run("result", job.name, "--output", str(path))[0] == 0
    with np.load(path) as arrays:
        assert arrays["covariance"].shape == (2, 2)
        assert arrays["names"].tolist() == ["b", "k"]
        assert len(arrays["starts.0.trace"]) == 14
        assert arrays["series.0.residuals"].tolist() == [-0.5, -0.5]
    code, _, err = run("result", job.name, "--output", "fit.csv")
    assert code == 1 and ".json" in err


def test_results_of_other_kinds(jobs, run, fake_client):
    job = fake_client.submit.solve("models/x", t=(0, 1))
    result = Result()
    result.solve.model = "models/x"
    result.solve.times.CopyFrom(to_proto(np.array([1.0])))
    result.solve.states.CopyFrom(to_proto(np.array([[0.5]])))
    result.solve.state_layout.add(name="y")
    result.solve.row_start.extend([0, 1])
    result.solve.terminations.add(reason=1, t=1.0)
    result.solve.stats.add(accepted_steps=3)
    jobs.end(job.name, result=result)
    assert "costate.Solution" in run("result", job.name)[1]
    found = json.loads(run("result", job.name, "--json")[1])
    assert found["states"] == [[0.5]]
    assert found["terminations"][0]["reason"] == "REASON_REACHED_END"


def test_cancel_requeue_delete(jobs, job, run, fake_client):
    other = fake_client.submit.solve("models/x", t=(0, 1))
    code, out, err = run("cancel", job.name, "jobs/none", other.name)
    assert code == 1 and "no job" in err
    assert out.splitlines() == [f"{job.name} is cancelled", f"{other.name} is cancelled"]
    assert run("result", job.name)[0] == 3
    assert run("requeue", other.name)[0] == 0
    assert run("requeue", other.name)[0] == 1
    code, out, _ = run("delete", job.name, "--json")
    assert code == 0 and json.loads(out)[0]["name"] == job.name
    assert job.name not in jobs.jobs


def test_requeue(jobs, job, run):
    jobs.end(job.name, "STATE_DEAD", error=status_pb2.Status(code=13, message="lost"))
    code, out, _ = run("requeue", job.name)
    assert code == 0 and "queued" in out


def test_no_server(capsys):
    code = _cli.main(["jobs", "list", "--address", "localhost:1", "--call-timeout", "5"])
    assert code == 1
    assert "no Costate server answers at localhost:1" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["jobs"], ["jobs", "watch"], ["jobs", "fly"]])
def test_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        _cli.main(arguments)
    assert caught.value.code == 2


def test_the_programs(fake, jobs, job):
    """The installed command and the module are the same."""
    command = ["jobs", "list", "--address", fake.address]
    for program in (
        [sys.executable, "-m", "costate"],
        [sys.executable[: -len("python")] + "costate"],
    ):
        done = subprocess.run([*program, *command], text=True, capture_output=True)
        assert done.returncode == 0 and "flu" in done.stdout, done.stderr


def test_a_reader_that_leaves_is_no_error(fake, jobs, job):
    done = subprocess.run(
        f"{sys.executable} -m costate jobs list --address {fake.address} | true",
        shell=True,
        text=True,
        capture_output=True,
    )
    assert done.stderr == ""
