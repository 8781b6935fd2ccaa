"""Profile likelihoods: the request, and the result in the hand."""

import math

import costate
import numpy as np
import pytest
from costate import _proto
from costate._arrays import from_proto, to_proto
from fake_jobs import FakeJobs, fit_result

Result = _proto.message("JobResult")


@pytest.fixture
def jobs(fake):
    return FakeJobs(fake)


@pytest.fixture
def fitted(jobs, fake_client):
    data = costate.Data(output="in_bed", t=[1.0, 2.0], values=[1.0, 2.0], sigma=1.0)
    graph = costate.Model.from_graph(b"")
    job = fake_client.fit(graph, data=data, parameters=["b", "k"], starts=4, seed=3)
    jobs.end(job.name, result=fit_result(jobs.jobs[job.name].spec.fit, 4))
    return job.refresh()


@pytest.fixture
def no_model(fake):
    import grpc
    from costate import _rpc
    from fake_server import fail

    fake.answers[_rpc.CREATE_MODEL] = lambda request, context: fail(
        context, grpc.StatusCode.INVALID_ARGUMENT, "no model"
    )


def profile_result(request, names):
    result = Result()
    for name in names:
        values = np.linspace(0.5, 2.5, 41)
        excess = 8.0 * (values - 1.5) ** 2
        result.profile.profiles.add(
            name=name,
            values=to_proto(values),
            objectives=to_proto(40.0 + excess),
            points=to_proto(np.stack([values, values], axis=1)),
            interval_lower=1.01,
            interval_upper=math.inf if name == "k" else 1.99,
            verdict="open upwards" if name == "k" else "bounded",
        )
    return result


def test_requests(fake, jobs, fake_client, fitted, no_model):
    """From the job, its name, or its result: the same request."""
    seen = []
    for given in (fitted, fitted.name, fitted.result()):
        job = fake_client.profile(given, ["b"], confidence=0.9, max_points=20, name="p", priority=2)
        request = fake.requests[-1]
        assert job.kind == "profile"
        assert (request.spec.display_name, request.spec.priority) == ("p", 2)
        seen.append(request.spec.profile)
    assert seen[0] == seen[1] == seen[2]
    assert list(seen[0].names) == ["b"]
    assert (seen[0].confidence, seen[0].max_points) == (0.9, 20)
    assert from_proto(seen[0].best).tolist() == [1.5, 0.4]
    assert seen[0].fit.options.starts == 4 and len(seen[0].fit.data) == 1
    assert not list(fake_client.profile(fitted)._message.spec.profile.names)


def test_wrong_requests(jobs, fake_client, fitted):
    with pytest.raises(costate.InvalidRequest, match="unknown name 'c'"):
        fake_client.profile(fitted, ["c"])
    with pytest.raises(costate.InvalidRequest, match="between 0 and 1"):
        fake_client.profile(fitted, confidence=95)
    with pytest.raises(costate.InvalidRequest, match="max_points"):
        fake_client.profile(fitted, max_points=0)
    solve = fake_client.submit.solve("models/x", t=(0, 1))
    with pytest.raises(costate.InvalidRequest, match="is a solve without a fit's result"):
        fake_client.profile(solve)
    running = fake_client.fit(
        "models/x",
        data=costate.Data(output="y", t=[1.0], values=[1.0]),
        parameters=["b"],
    )
    with pytest.raises(costate.InvalidRequest, match="wait for it first"):
        fake_client.profile(running)


@pytest.fixture
def result(jobs, fake_client, fitted):
    job = fake_client.profile(fitted)
    jobs.end(job.name, result=profile_result(None, ["b", "k"]))
    return job.result()


def test_result(result):
    assert list(result) == ["b", "k"] and len(result) == 2
    b = result["b"]
    assert b.best == pytest.approx(1.5)
    assert b.interval == (1.01, 1.99)
    assert b.points.shape == (41, 2)
    assert result.confidence == 0.95
    # Half of the 95 % quantile of chi squared with one degree of freedom.
    assert result.threshold == pytest.approx(3.841458820694124 / 2, rel=1e-12)
    with pytest.raises(costate.UnknownName):
        result["c"]
    assert result.to_dict()["profiles"][0]["name"] == "b"


def test_table(result):
    text = str(result)
    assert "1.01 .. 1.99  bounded" in text
    assert ".. inf" in text and "open upwards" in text
    assert "open upwards" in result._repr_html_()


def test_picture(result, tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    axes = np.ravel(result.plot())
    assert axes[0].get_xlabel() == "b"
    assert "open" in axes[1].get_title(loc="left")
    axes[0].figure.savefig(tmp_path / "p.png")
    plt.close(axes[0].figure)
    own = plt.subplots()[1]
    assert result.plot("b", axes=own) is own
    plt.close(own.figure)
