"""Fits by a real server against SciPy's, and against the formulas of their objectives."""

import math

import costate
import numpy as np
import pytest
import witness
from scipy.optimize import least_squares, minimize

DAYS = np.arange(1.0, 15.0)
YEARS = np.arange(21.0)
TOLERANCES = {"rtol": 1e-10, "atol": 1e-10}
HARE_LYNX = costate.Model("""
model hare_lynx
param a = 0.5 in [0, 10]
param b = 0.03 in [0, 1]
param c = 0.8 in [0, 10]
param d = 0.02 in [0, 1]
state hare = 30
state lynx = 4
hare' = a*hare - b*hare*lynx
lynx' = d*hare*lynx - c*lynx
""")
HARE_LYNX_FREE = {
    name: costate.Free(bounds=bounds, scale="log10")
    for name, bounds in {
        "a": (0.3, 1.2),
        "b": (0.01, 0.1),
        "c": (0.3, 1.2),
        "d": (0.01, 0.1),
        "hare": (10, 100),
        "lynx": (1, 20),
    }.items()
}
DECAY = costate.Model("""
model decay
param k = 0.5 in [0, 10]
param gain = 1
state y = 2
y' = -k*y
output twice = 2*gain*y
""")
TIMES = np.linspace(0.5, 5.0, 10)


def fit(client, model, data, parameters, **arguments):
    arguments = {"timeout": 60, **TOLERANCES, **arguments}
    job = client.fit(model, data=data, parameters=parameters, **arguments)
    return job.result(timeout=90)


def influenza(client, sir, **arguments):
    return fit(
        client,
        sir,
        [costate.Data(output="in_bed", t=DAYS, values=witness.BOYS_IN_BED)],
        {
            "b": costate.Free(1.0, (0.1, 10), scale="log10"),
            "k": costate.Free(0.2, (0.01, 10), scale="log10"),
        },
        **arguments,
    )


def hare_lynx(client, **arguments):
    data = [
        costate.Data(state="hare", t=YEARS, values=witness.HARE, noise="log_normal"),
        costate.Data(state="lynx", t=YEARS, values=witness.LYNX, noise="log_normal"),
    ]
    return fit(client, HARE_LYNX, data, HARE_LYNX_FREE, **arguments)


def agree(result, names, estimates, sizes, covariance):
    assert result.names == names
    expected = np.concatenate([estimates, sizes])
    found = np.array([result.best[name] for name in names])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    errors = np.sqrt(np.diag(covariance))
    scaled = (result.covariance - covariance) / np.outer(errors, errors)
    assert np.abs(scaled).max() < 1e-4
    np.testing.assert_allclose(
        [e.standard_error for e in result.estimates], errors, rtol=1e-4, atol=0
    )
    np.testing.assert_allclose(
        result.correlation, covariance / np.outer(errors, errors), atol=1e-4, rtol=0
    )
    information = np.linalg.inv(covariance / np.outer(errors, errors))
    np.testing.assert_allclose(
        result.fisher_information * np.outer(errors, errors), information, atol=1e-3, rtol=1e-3
    )


def test_influenza_agrees_with_scipy(client, sir):
    result = influenza(client, sir, starts=64, seed=1)
    x, sizes, covariance = witness.maximum_likelihood(
        witness.boys_in_bed, [witness.BOYS_IN_BED], [1.6, 0.45]
    )
    agree(result, ("b", "k", "sigma(in_bed)"), x, sizes, covariance)
    assert result.starts_at_best >= 32
    n = len(DAYS)
    assert result.objective == pytest.approx(
        n * math.log(sizes[0]) + n / 2 * (1 + math.log(2 * math.pi)), rel=1e-9
    )
    assert not result.unidentified
    # What is left of the data is of the size that was estimated.
    assert np.mean(result.residuals[0] ** 2) == pytest.approx(1.0, rel=1e-6)
    model = witness.sir(DAYS, *x)[:, 1]
    np.testing.assert_allclose(result.fitted[0], model, rtol=1e-5, atol=1e-4)
    trajectory = result.trajectories[""]
    np.testing.assert_allclose(
        trajectory["in_bed"], witness.sir(trajectory.t, *x)[:, 1], rtol=1e-4, atol=1e-3
    )


def test_hare_and_lynx_agree_with_scipy(client):
    result = hare_lynx(client, starts=64, seed=1)
    x, sizes, covariance = witness.maximum_likelihood(
        witness.log_hare_lynx,
        [np.log(witness.HARE), np.log(witness.LYNX)],
        [0.5, 0.03, 0.8, 0.02, 33, 6],
    )
    names = ("a", "b", "c", "d", "hare", "lynx", "sigma(hare)", "sigma(lynx)")
    agree(result, names, x, sizes, covariance)
    assert result.starts_at_best >= 32
    # An interval of the search's coordinate, the logarithm: it lies about the estimate by ratio.
    a = result.estimates[0]
    ratio = math.exp(1.959963984540054 * a.standard_error / a.value)
    np.testing.assert_allclose(a.interval, [a.value / ratio, a.value * ratio], rtol=1e-6)


def test_starts_are_sorted_seeded_and_told(client, sir):
    one = influenza(client, sir, starts=12, seed=5)
    same = influenza(client, sir, starts=12, seed=5)
    other = influenza(client, sir, starts=12, seed=6)
    objectives = [start.objective for start in one.starts]
    assert objectives == sorted(objectives)
    assert sorted(start.index for start in one.starts) == list(range(12))
    for mine, twin in zip(one.starts, same.starts):
        assert mine.values.tobytes() == twin.values.tobytes()
        assert mine.trace.tobytes() == twin.trace.tobytes()
    points = {start.index: start.start_values for start in one.starts}
    moved = {start.index: start.start_values for start in other.starts}
    assert points[0].tobytes() == moved[0].tobytes()  # the given one
    np.testing.assert_allclose(points[0][:2], [1.0, 0.2])
    assert points[1].tobytes() != moved[1].tobytes()
    for start in one.starts:
        assert len(start.trace) == start.iterations + 1
        assert np.all(np.diff(start.trace) <= 0)
        if math.isfinite(start.objective):
            assert start.trace[-1] == start.objective
    # A Latin hypercube: one drawn value in each eleventh of the logarithmic range.
    drawn = np.log10([points[i][0] for i in range(1, 12)])
    places = np.floor((drawn + 1) / 2 * 11).astype(int)
    assert sorted(places) == list(range(11)) or len(set(places)) >= 10


def log_density(noise, y, m, s):
    if noise.startswith("log_"):
        return log_density(noise[4:].replace("normal", "gaussian"), np.log(y), np.log(m), s)
    if noise == "gaussian":
        return -0.5 * ((y - m) / s) ** 2 - np.log(s) - 0.5 * np.log(2 * np.pi)
    return -np.abs(y - m) / s - np.log(2 * s)


@pytest.mark.parametrize("noise", ["gaussian", "log_normal", "laplace", "log_laplace"])
@pytest.mark.parametrize("known", [True, False])
def test_noise_models(client, noise, known):
    """The objective is the formula at the estimates, and no simplex finds a lower one."""
    random = np.random.default_rng(8)
    values = 2 * np.exp(-0.7 * TIMES) * np.exp(0.1 * random.standard_normal(10))
    sigma = np.linspace(0.05, 0.1, 10) if known else None
    data = costate.Data(state="y", t=TIMES, values=values, sigma=sigma, noise=noise)
    result = fit(client, DECAY, data, {"k": costate.Free(0.4, (0.01, 5)), "y": 1.5}, starts=8)

    def objective(k, y, s=None):
        s = sigma if s is None else s
        found = -np.sum(log_density(noise, values, y * np.exp(-k * TIMES), s))
        # The density of y itself, not that of its logarithm, or the other way round: a constant.
        return found, found + np.sum(np.log(values))

    best = [result.best[name] for name in result.names]
    assert result.objective == pytest.approx(objective(*best)[0], rel=1e-7) or (
        noise.startswith("log_")
        and result.objective == pytest.approx(objective(*best)[1], rel=1e-7)
    )
    reached = objective(*best)[0]

    def above(x):
        return objective(*x)[0] - reached if np.all(np.asarray(x) > 0) else np.inf

    lowest = minimize(
        above, best, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000}
    )
    # The density of Laplace has a kink at every datum, which is met to 1e-6 of sigma.
    assert lowest.fun > (-1e-5 if "laplace" in noise else -1e-8)
    assert result.starts[0].outcome == "converged"


def test_conditions_and_what_they_share(client):
    """Two experiments: one rate for both, a start of its own for each."""
    random = np.random.default_rng(3)
    values = [y * np.exp(-0.8 * TIMES) + 0.02 * random.standard_normal(10) for y in (2.0, 5.0)]
    data = [
        costate.Data(name, state="y", t=TIMES, values=v, sigma=0.02)
        for name, v in zip(("low", "high"), values)
    ]
    result = fit(
        client,
        DECAY,
        data,
        {"k": 0.5, "y": costate.Free(3.0, per_condition=True)},
        conditions={"low": {}, "high": {}},
    )
    assert result.names == ("k", "y@low", "y@high")

    def residuals(x):
        models = [y * np.exp(-x[0] * TIMES) for y in x[1:]]
        return np.concatenate([(m - v) / 0.02 for m, v in zip(models, values)])

    found = least_squares(residuals, [0.5, 3.0, 3.0], xtol=1e-15, ftol=1e-15, gtol=1e-15)
    np.testing.assert_allclose(list(result.best.values()), found.x, rtol=1e-6)
    covariance = np.linalg.inv(found.jac.T @ found.jac)
    np.testing.assert_allclose(result.covariance, covariance, rtol=1e-3, atol=1e-9)
    assert list(result.trajectories) == ["low", "high"]
    assert result.trajectories["high"]["twice"][0] == pytest.approx(2 * found.x[2], rel=1e-5)


def test_conditions_that_data_describe(client):
    data = [
        costate.Data({"k": k}, state="y", t=TIMES, values=y * np.exp(-k * TIMES), sigma=0.1)
        for k, y in ((0.3, 4.0), (0.9, 4.0))
    ]
    result = fit(client, DECAY, data, {"y": 1.0})
    assert list(result.trajectories) == ["k=0.3", "k=0.9"]
    assert result["y"] == pytest.approx(4.0, rel=1e-7)
    assert result.series[1].label == "y@k=0.9"


def test_scale_and_offset(client):
    values = 3.0 * (4 * np.exp(-0.6 * TIMES)) + 1.5
    data = costate.Data(
        output="twice",
        t=TIMES,
        values=values,
        sigma=0.1,
        estimate_scale=True,
        estimate_offset=True,
        group="g",
    )
    result = fit(client, DECAY, data, {"k": 0.4})
    assert result.names == ("k", "scale(g)", "offset(g)")
    np.testing.assert_allclose(list(result.best.values()), [0.6, 3.0, 1.5], rtol=1e-6)
    assert result.series[0].scale == pytest.approx(3.0, rel=1e-6)
    np.testing.assert_allclose(result.fitted[0], values, rtol=1e-6)


def test_missing_values_are_as_if_they_were_not_there(client):
    random = np.random.default_rng(4)
    values = 2 * np.exp(-0.7 * TIMES) + 0.05 * random.standard_normal(10)
    gaps = values.copy()
    gaps[[1, 6]] = np.nan
    with_gaps = costate.Data(state="y", t=TIMES, values=gaps, allow_missing=True)
    there = np.isfinite(gaps)
    without = costate.Data(state="y", t=TIMES[there], values=values[there])
    one, other = (fit(client, DECAY, data, {"k": 0.4}) for data in (with_gaps, without))
    assert one["k"] == pytest.approx(other["k"], rel=1e-8)
    assert one.objective == pytest.approx(other.objective, rel=1e-8)
    assert np.isnan(one.residuals[0]).tolist() == (~there).tolist()
    assert np.isfinite(one.fitted[0]).all()


def test_weights_and_priors(client):
    """Maximum a posteriori of a Gaussian: a weighted sum of squares with the prior as one more."""
    random = np.random.default_rng(5)
    values = 2 * np.exp(-0.7 * TIMES) + 0.05 * random.standard_normal(10)
    data = costate.Data(state="y", t=TIMES, values=values, sigma=0.05, weight=0.5)
    prior = costate.Prior("normal", 0.9, 0.02)
    result = fit(client, DECAY, data, {"k": costate.Free(0.4, prior=prior)})

    def residuals(x):
        misfit = (2 * np.exp(-x[0] * TIMES) - values) / 0.05
        return np.append(math.sqrt(0.5) * misfit, (x[0] - 0.9) / 0.02)

    found = least_squares(residuals, [0.4], xtol=1e-15, ftol=1e-15, gtol=1e-15)
    assert result["k"] == pytest.approx(found.x[0], rel=1e-6)
    error = 1 / math.sqrt(float(found.jac[:, 0] @ found.jac[:, 0]))
    assert result.standard_errors["k"] == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize(
    "arguments",
    [
        {"method": "lbfgsb"},
        {"method": "adam", "learning_rate": 0.05, "max_iterations": 3000, "schedule": "cosine"},
        {"method": "nlopt", "nlopt_algorithm": "LN_BOBYQA"},
    ],
)
def test_other_methods_find_the_same(client, sir, arguments):
    best = influenza(client, sir)
    other = influenza(client, sir, **arguments)
    assert other.options["method"] == arguments["method"]
    assert other.objective == pytest.approx(best.objective, rel=1e-5)
    assert other["b"] == pytest.approx(best["b"], rel=1e-2)


def test_what_lies_on_a_bound_says_so(client, sir):
    result = fit(
        client,
        sir,
        [costate.Data(output="in_bed", t=DAYS, values=witness.BOYS_IN_BED, sigma=10.0)],
        {"b": costate.Free(1.0, (0.1, 1.5)), "k": costate.Free(0.3, (0.01, 10))},
    )
    b, k = result.estimates
    assert b.at_bound and b.bound == "upper" and b.value == 1.5
    assert math.isnan(b.standard_error) and np.isnan(result.covariance[0]).all()
    assert not k.at_bound and k.standard_error > 0
    assert "at its upper bound" in result.table()


def test_what_the_data_do_not_identify_is_said(client):
    """Only gain times y matters."""
    values = 2 * np.exp(-0.5 * TIMES)
    data = costate.Data(output="twice", t=TIMES, values=values, sigma=0.1)
    result = fit(
        client,
        DECAY,
        data,
        {
            "gain": costate.Free(1.0, (0.1, 10), scale="log10"),
            "y": costate.Free(1.0, (0.1, 10), scale="log10"),
            "k": 0.4,
        },
    )
    assert result["gain"] * result["y"] == pytest.approx(1.0, rel=1e-6)
    assert result.unidentified == (
        "Only gain*y is determined by the data, neither gain nor y alone.",
    )
    assert not any(e.at_bound for e in result.estimates)
    assert math.isnan(result.standard_errors["gain"]) and math.isnan(result.standard_errors["y"])
    assert result.standard_errors["k"] > 0
    assert "not identified" in result.table()


# Bad input: refused before anything is stored, with the path of the field


def series(**changes):
    given = {"state": "y", "t": TIMES, "values": TIMES, "sigma": 0.1, **changes}
    return costate.Data(**given)


def spoiled(**changes):
    """Data with what the client itself would refuse."""
    data = series(allow_missing=True)
    for name, value in changes.items():
        setattr(data, name, value)
    return data


@pytest.mark.parametrize(
    ("data", "parameters", "arguments", "field", "words"),
    [
        (series(state=None, output="thrice"), ["k"], {}, "data[0]", "thrice"),
        (series(), ["kk"], {}, "free[0].name", "kk"),
        (series(t=TIMES + 100), ["k"], {"t": (0, 5)}, "data[0].times", ""),
        (spoiled(sigma=np.array(-1.0)), ["k"], {}, "data[0].sigma", "-1"),
        (series(), {"k": costate.Free(0.4, (2.0, 1.0))}, {}, "free[0]", ""),
        (series(), {"k": costate.Free(20.0)}, {}, "free[0].start", "20"),
        (series(), {"k": costate.Free(0.4, (-1, 1), scale="log")}, {}, "free[0]", ""),
        (
            spoiled(allow_missing=False, values=np.full(10, np.nan)),
            ["k"],
            {},
            "data[0].values",
            "",
        ),
        (series(noise="log_normal", values=-TIMES), ["k"], {}, "data[0].values", ""),
        (series(), ["k"], {"method": "nlopt"}, "options.nlopt_algorithm", ""),
        (series(), ["k"], {"function_tolerance": -1.0}, "options.function_tolerance", "-1"),
        (series(), ["k"], {"params": {"q": 1.0}}, "simulation.params", "q"),
        (series(), {"k": 0.1, "k[0]": 0.1}, {}, "free", ""),
    ],
)
def test_bad_input_is_refused_with_its_field(client, data, parameters, arguments, field, words):
    before = {job.name for job in client.jobs(limit=None)}
    with pytest.raises(costate.InvalidRequest) as caught:
        client.fit(DECAY, data=data, parameters=parameters, **arguments)
    assert field in caught.value.field, caught.value
    assert words in str(caught.value)
    assert {job.name for job in client.jobs(limit=None)} == before


def test_a_wrong_model_shows_its_issues(client):
    with pytest.raises(costate.ModelError) as caught:
        client.fit("state y = 1\ny' = -z", data=series(), parameters=["k"])
    assert caught.value.issues


# Profiles


def test_profiles_agree_with_formulas(client):
    """Of a straight line with known noise the profile is the parabola of the covariance."""
    line = costate.Model("param p = 1\nparam q = 0\nstate y = 0\ny' = p\noutput z = y + q")
    random = np.random.default_rng(2)
    values = 1.3 * TIMES + 0.4 + 0.2 * random.standard_normal(10)
    data = costate.Data(output="z", t=TIMES, values=values, sigma=0.2)
    job = client.fit(line, data=data, parameters=["p", "q"], **TOLERANCES)
    result = job.result(timeout=60)
    profiles = client.profile(job, max_points=60).result(timeout=60)
    design = np.column_stack([TIMES, np.ones(10)]) / 0.2
    covariance = np.linalg.inv(design.T @ design)
    best = covariance @ design.T @ (values / 0.2)
    for index, name in enumerate("pq"):
        profile = profiles[name]
        error = math.sqrt(covariance[index, index])
        assert result.best[name] == pytest.approx(best[index], rel=1e-6)
        assert profile.best == pytest.approx(best[index], rel=1e-6)
        expected = 0.5 * ((profile.values - best[index]) / error) ** 2
        np.testing.assert_allclose(
            profile.objectives - profile.objectives.min(), expected, atol=1e-5
        )
        half = 1.959963984540054 * error
        np.testing.assert_allclose(
            profile.interval, [best[index] - half, best[index] + half], rtol=1e-4
        )
    assert "p is identified" in profiles["p"].verdict


def test_profiles_of_what_is_not_identified_are_open(client):
    data = costate.Data(output="twice", t=TIMES, values=2 * np.exp(-0.5 * TIMES), sigma=0.1)
    free = {
        "gain": costate.Free(1.0, (0.1, 10), scale="log10"),
        "y": costate.Free(1.0, (0.1, 10), scale="log10"),
        "k": 0.4,
    }
    result = fit(client, DECAY, data, free)
    profiles = client.profile(result, ["gain", "k"]).result(timeout=90)
    assert profiles["gain"].interval == (-math.inf, math.inf)
    assert all(map(math.isfinite, profiles["k"].interval))
    assert list(profiles) == ["gain", "k"]
