"""What a fit looks like on the wire, and its result in the hand."""

import datetime
import math

import costate
import numpy as np
import pytest
from costate import _rpc
from costate._arrays import from_proto
from costate._options import METHODS
from fake_jobs import FakeJobs, fit_result

DAYS = np.arange(1.0, 15.0)
COUNTS = np.array([3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4], dtype=float)
PARAMETERS = {"b": costate.Free(1.0, (0.01, 10), scale="log10"), "k": costate.Free(0.3)}


def in_bed(**more):
    return costate.Data(output="in_bed", t=DAYS, values=COUNTS, **more)


@pytest.fixture
def jobs(fake, client, sir):
    """A fake queue; what a model declares is asked of a real server."""
    info = client._run(_describe(client, sir))
    fake.answers[_rpc.CREATE_MODEL] = lambda request, context: info
    return FakeJobs(fake)


def _describe(client, model):
    from costate._model import source_of

    request = _rpc.CREATE_MODEL.request_class(source=source_of(model), validate_only=True)
    return (yield _rpc.Rpc(_rpc.CREATE_MODEL, request))


@pytest.fixture
def sent(fake, jobs, fake_client, sir):
    """Runs a fit and returns the FitRequest that the server got."""

    def run(data=None, parameters=PARAMETERS, **arguments):
        fake_client.fit(sir, data=data or [in_bed()], parameters=parameters, **arguments)
        return fake.requests[-1].spec.fit

    return run


def test_everything_arrives(fake, sent):
    request = sent(
        [
            in_bed(
                sigma=10.0,
                noise="laplace",
                estimate_scale=True,
                estimate_offset=True,
                weight=0.5,
                group="g",
            )
        ],
        {
            "b": costate.Free(1.0, (0.01, 10), scale="log10"),
            "k": costate.Free(prior=costate.Prior("log_normal", -1.0, 0.5, scaled=True)),
            "i": costate.Free(2.0, (None, 5.0), scale="logit"),
        },
        method="adamw",
        starts=64,
        seed=7,
        max_iterations=50,
        function_tolerance=1e-5,
        gradient_tolerance=1e-4,
        step_tolerance=1e-3,
        sampler="sobol",
        learning_rate=0.1,
        schedule=costate.Schedule("cosine", 0.1, 20),
        weight_decay=0.2,
        beta1=0.8,
        beta2=0.9,
        epsilon=1e-6,
        batch_size=4,
        clip_norm=3.0,
        gradient_method="backprop",
        solver="dopri5",
        rtol=1e-8,
        params={"k": 0.4},
        y0={"s": 700.0},
        max_steps=1000,
    )
    assert request.simulation.options.method == METHODS.number("dopri5", "")
    assert request.simulation.options.adaptive.rtol == 1e-8
    assert request.simulation.options.max_steps == 1000
    assert request.simulation.params[0].name == "k"
    assert request.simulation.initial_state[0].name == "s"
    assert list(request.simulation.t1) == [14.0]
    (data,) = request.data
    assert (data.output, data.condition, data.group, data.weight) == ("in_bed", "", "g", 0.5)
    assert from_proto(data.times).tolist() == DAYS.tolist()
    assert from_proto(data.values).tolist() == COUNTS.tolist()
    assert from_proto(data.sigma) == 10.0
    assert data.estimate_scale and data.estimate_offset and not data.allow_missing
    assert data.noise == 3
    b, k, i = request.free
    assert (b.name, from_proto(b.start), b.lower, b.upper, b.scale) == ("b", 1.0, 0.01, 10.0, 3)
    assert not k.HasField("start") and not k.HasField("lower") and not k.scale - 1
    assert (k.prior.distribution, k.prior.a, k.prior.b, k.prior.scaled) == (3, -1.0, 0.5, True)
    assert (i.HasField("lower"), i.upper, i.scale) == (False, 5.0, 4)
    options = request.options
    assert (options.method, options.starts, options.seed, options.sampler) == (4, 64, 7, 2)
    assert (options.max_iterations, options.batch_size, options.clip_norm) == (50, 4, 3.0)
    assert (options.beta1, options.beta2, options.epsilon) == (0.8, 0.9, 1e-6)
    assert options.function_tolerance == 1e-5
    assert options.gradient_tolerance == 1e-4
    assert options.step_tolerance == 1e-3
    assert (options.learning_rate, options.weight_decay) == (0.1, 0.2)
    schedule = options.schedule
    assert (schedule.kind, schedule.decay, schedule.warmup) == (3, 0.1, 20)
    assert options.gradient.method


def test_what_is_not_said_is_left_to_the_server(sent):
    request = sent(parameters=["b", "k"])
    assert not request.conditions
    assert not request.data[0].HasField("sigma")
    assert not request.data[0].HasField("weight")
    assert not request.options.method
    assert not request.options.HasField("gradient")
    assert not request.options.HasField("function_tolerance")
    assert request.options.starts == 1
    assert not request.free[0].HasField("start")


def test_numbers_are_where_to_begin(sent):
    request = sent(parameters={"b": 1.5, "k": None})
    assert from_proto(request.free[0].start) == 1.5
    assert not request.free[1].HasField("start")


def test_equal_mappings_are_one_condition(sent):
    request = sent(
        [
            in_bed(condition={"b": 2.0, "i": 5}),
            in_bed(condition={"i": 5.0, "b": 2}),
            in_bed(condition={"b": 3.0, "t1": 20.0}),
            in_bed(),
        ]
    )
    assert [c.name for c in request.conditions] == ["b=2,i=5", "b=3,t1=20", "base"]
    first, second, base = request.conditions
    assert [(p.name, from_proto(p.array)) for p in first.params] == [("b", 2.0)]
    assert [(s.name, from_proto(s.array)) for s in first.initial_state] == [("i", 5.0)]
    assert not first.HasField("t0") and not first.HasField("t1")
    assert second.t1 == 20.0
    assert not base.params and not base.initial_state
    assert [d.condition for d in request.data] == ["b=2,i=5", "b=2,i=5", "b=3,t1=20", "base"]


def test_named_conditions(sent):
    request = sent(
        [in_bed(condition="mild"), in_bed(condition="wild")],
        {"b": costate.Free(per_condition=True), "k": costate.Free(per_condition=["wild"])},
        conditions={
            "mild": {"b": 1.0},
            "wild": costate.Condition(params={"b": 3.0}, y0={"i": 2.0}, t=(None, 20.0)),
        },
    )
    assert [c.name for c in request.conditions] == ["mild", "wild"]
    assert request.conditions[1].initial_state[0].name == "i"
    assert not request.conditions[1].HasField("t0") and request.conditions[1].t1 == 20.0
    assert list(request.free[0].per_condition) == ["mild", "wild"]
    assert list(request.free[1].per_condition) == ["wild"]
    # The only one there is needs no name.
    request = sent(conditions={"all": {"b": 1.0}})
    assert request.data[0].condition == "all"


def test_the_span_is_that_of_the_data(sent):
    assert list(sent([in_bed()]).simulation.t1) == [14.0]
    late = costate.Data(condition={"b": 1.0, "t1": 99.0}, state="i", t=[90.0], values=[1.0])
    assert list(sent([in_bed(condition={}), late]).simulation.t1) == [14.0]
    assert list(sent(t=(1.0, 30.0)).simulation.t1) == [30.0]


def test_conditions_of_arrays_and_near_numbers_get_names(sent):
    nearly = [in_bed(condition={"b": 1.0 + k * 1e-9}) for k in range(3)]
    names = [c.name for c in sent(nearly).conditions]
    assert len(set(names)) == 3 and names[0] == "b=1"
    request = sent([in_bed(condition={"b": np.array([1.0])}), in_bed(condition={"b": [2.0]})])
    assert [c.name for c in request.conditions] == ["condition 1", "condition 2"]


def test_a_tensor_is_a_series_for_each_element(sent):
    values = np.arange(28.0).reshape(14, 2)
    sigma = np.array([1.0, 2.0])
    request = sent([costate.Data(state="y", t=DAYS, values=values, sigma=sigma)])
    assert [d.state for d in request.data] == ["y[0]", "y[1]"]
    assert from_proto(request.data[1].values).tolist() == values[:, 1].tolist()
    assert from_proto(request.data[1].sigma).tolist() == [2.0] * 14


def test_missing_values_are_only_sent_where_that_was_said(sent):
    gaps = COUNTS.copy()
    gaps[[2, 5]] = np.nan
    with pytest.raises(costate.InvalidRequest, match="2 of 14 are NaN; say allow_missing=True"):
        costate.Data(output="in_bed", t=DAYS, values=gaps)
    request = sent([costate.Data(output="in_bed", t=DAYS, values=gaps, allow_missing=True)])
    assert request.data[0].allow_missing
    assert np.isnan(from_proto(request.data[0].values)[[2, 5]]).all()


class Column:
    """As a column of a data frame gives itself to NumPy."""

    def __init__(self, values):
        self._values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self._values, dtype=dtype)

    def __len__(self):
        return len(self._values)


def test_columns_of_data_frames(sent):
    request = sent([costate.Data(output="in_bed", t=Column(DAYS), values=Column(COUNTS))])
    assert from_proto(request.data[0].values).tolist() == COUNTS.tolist()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: costate.Data(t=[1], values=[1]), "exactly one of output and state"),
        (lambda: costate.Data(output="y", t=[1, 2], values=[1]), "1 values for 2 times"),
        (lambda: in_bed(sigma=0.0), "sigma: the scale of noise is positive"),
        (lambda: in_bed(sigma=[1.0, 2.0]), "does not fit values"),
        (lambda: in_bed(noise="gausian"), "did you mean 'gaussian'"),
        (lambda: in_bed(condition=3), "expected a name"),
    ],
)
def test_wrong_data(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": ()}, "data: give at least one"),
        ({"parameters": {}}, "parameters: name at least one"),
        ({"parameters": {"b": costate.Free(scale="decibel")}}, "unknown name 'decibel'"),
        ({"parameters": {"b": costate.Free(bounds=3.0)}}, r"bounds: expected \(lower, upper\)"),
        ({"parameters": {"b": costate.Free(prior=costate.Prior("norml"))}}, "'normal'"),
        ({"parameters": {"b": costate.Free(per_condition="x")}}, "unknown name 'x'"),
        ({"method": "tsit5"}, "solver='tsit5'"),
        ({"solver": "lbfgsb"}, "method='lbfgsb'"),
        ({"method": "newton"}, "unknown name 'newton'"),
        ({"starts": 0}, "starts: 0 is no whole number"),
        ({"seed": -1}, "seed: -1"),
        ({"schedule": "cosin"}, "is none of"),
        ({"priority": 101}, "priority"),
        ({"idempotency_key": "x" * 129}, "1 to 128 characters"),
        ({"retention": -1.0}, "retention"),
        ({"deadline": 5.0, "idempotency_key": "a"}, "give a moment"),
        ({"conditions": {"a": {"c": 1.0}}}, "unknown name 'c'"),
        ({"conditions": {"a": {"b": 1}, "c": {"b": 2}}}, "name one of 'a', 'c'"),
        ({"data": [in_bed(condition="x")]}, "unknown name 'x'"),
    ],
)
def test_wrong_requests(sir, jobs, fake_client, arguments, message):
    request = {"data": [in_bed()], "parameters": PARAMETERS, **arguments}
    with pytest.raises(costate.InvalidRequest, match=message):
        fake_client.fit(sir, **request)
    assert not jobs.jobs


def test_wrong_types(sir, fake_client):
    with pytest.raises(TypeError, match=r"data\[0\]: expected a costate.Data"):
        fake_client.fit(sir, data=[COUNTS], parameters=PARAMETERS)
    with pytest.raises(TypeError, match="did you mean 'starts'"):
        fake_client.fit(sir, data=[in_bed()], parameters=PARAMETERS, startz=3)
    with pytest.raises(TypeError, match=r"costate\.Prior"):
        fake_client.fit(sir, data=[in_bed()], parameters={"b": costate.Free(prior=1.0)})


def test_job_properties_go_along(fake, jobs, fake_client, sir):
    moment = datetime.datetime(2031, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc)
    job = fake_client.fit(
        sir,
        data=in_bed(),
        parameters=["b"],
        name="flu",
        idempotency_key="sir-2026-11",
        priority=-5,
        deadline=moment,
        retention=datetime.timedelta(days=2),
    )
    request = fake.requests[-1]
    assert request.idempotency_key == "sir-2026-11"
    assert request.spec.deadline.ToDatetime(datetime.timezone.utc) == moment
    assert request.spec.retention.ToSeconds() == 2 * 86400
    assert (job.display_name, job.priority, job.kind, job.state) == ("flu", -5, "fit", "queued")
    fake_client.fit(sir, data=in_bed(), parameters=["b"], deadline=60.0)
    left = fake.requests[-1].spec.deadline.ToSeconds() - datetime.datetime.now().timestamp()
    assert 50 < left < 61
    # Without a key the client makes one, so that a second try is not a second job.
    assert fake.requests[-1].idempotency_key.startswith("call-")


# Results


@pytest.fixture
def result(jobs, fake_client, sir):
    job = fake_client.fit(sir, data=[in_bed(sigma=10.0)], parameters=PARAMETERS, starts=12)
    jobs.run(job.name)
    jobs.end(job.name, result=fit_result(jobs.jobs[job.name].spec.fit))
    return job.result(timeout=5)


def test_result(result):
    assert result.names == ("b", "k")
    assert result.best == {"b": 1.5, "k": 0.4}
    assert result["b"] == 1.5
    assert result.objective == 40.0
    assert result.covariance.shape == (2, 2) and result.covariance[0, 0] == 0.0025
    assert len(result.starts) == 12 and result.starts_at_best == 6
    assert result.starts[-1].outcome == "diverged" and math.isinf(result.starts[-1].objective)
    assert len(result.starts[0].trace) == 14
    assert result.fitted[0].tolist() == (COUNTS + 1).tolist()
    assert result.residuals[0].tolist() == [-0.5] * 14
    assert result.series[0].sigma.tolist() == [10.0] * 14
    trajectory = result.trajectories[""]
    assert trajectory["in_bed"].shape == (200,) and trajectory["s"].shape == (200,)
    assert result.options["starts"] == 12
    with pytest.raises(costate.UnknownName, match="did you mean"):
        result["bb"]


def test_table_of_a_result(result):
    table = result.table()
    b, k = table.splitlines()[1:]
    assert b.split()[:3] == ["b", "1.5", "0.05"]
    assert "1.4 .. 1.6" in b and "0.01 .. 10" in b
    assert "not identified" in k
    text = str(result)
    assert "6 of 12 starts agree" in text
    assert "k: the data hardly change along it" in text
    assert "1 of 12 starts diverged: the first solve became infinite" in text
    assert "not identified" in result._repr_html_()
    assert "b = 1.5" in repr(result)


def test_estimates_on_bounds_say_so():
    estimate = costate.Estimate("b", 10.0, math.nan, (math.nan, math.nan), (0.0, 10.0), True, "log")
    assert estimate.bound == "upper"


def test_plain_values_of_a_result(result):
    found = result.to_dict()
    assert found["best"] == {"b": 1.5, "k": 0.4}
    assert found["starts"][0]["objective"] == 40.0
    assert found["series"][0]["channel"] == "in_bed"
    assert found["trajectories"][0]["outputs"]["in_bed"].shape == (200,)


@pytest.mark.parametrize(
    "picture", ["plot_fit", "plot_waterfall", "plot_trace", "plot_correlation", "plot_parallel"]
)
def test_pictures_render(result, picture, tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawn = getattr(result, picture)()
    ax = np.ravel(drawn)[0]
    ax.figure.savefig(tmp_path / "picture.png")
    assert ax.lines or ax.images
    plt.close(ax.figure)
    own = plt.subplots()[1]
    place = {"axes": own} if picture == "plot_fit" else {"ax": own}
    assert np.ravel(getattr(result, picture)(**place))[0] is own
    plt.close(own.figure)


def test_waterfall_counts_what_it_draws(result):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    ax = result.plot_waterfall()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[0] == "6 of 12 at the best, 40"
    assert "1 without a finite objective" in labels
    ax.figure.clear()
