"""Schemes that can be taken back, and gradients that go back on them instead of storing steps."""

import math

import costate
import numpy as np
import pytest
from witness import central_difference
from witness import sir as sir_states

DAYS = np.arange(1.0, 15.0)
COUNTS = np.array([3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4], dtype=float)
# The error at which each scheme misses the states of the epidemic, of 763 boys, with equal steps.
FIXED = {
    "coupled_euler": ({"method": "euler", "coupling": 0.99, "dt": 1e-3}, 1.0),
    "coupled_midpoint": ({"method": "midpoint", "coupling": 0.999, "dt": 1e-2}, 3e-2),
    "coupled_ralston3": ({"method": "ralston3", "coupling": 0.999, "dt": 1e-2}, 1e-4),
    "coupled_rk4": ({"method": "rk4", "coupling": 0.999, "dt": 1e-2}, 1e-6),
    "coupled_dopri8": ({"method": "dopri8", "coupling": 1.0, "dt": 0.1}, 1e-7),
    "ees25": ({"method": "ees25", "dt": 1e-2}, 1e-2),
    "ees27": ({"method": "ees27", "dt": 1e-2}, 1e-2),
    "alf": ({"method": "alf", "dt": 1e-2}, 3e-2),
    "damped_alf": ({"method": "alf", "eta": 0.999, "dt": 1e-3}, 1.0),
    "reversible_heun": ({"method": "reversible_heun", "dt": 1e-2}, 1e-1),
    "leapfrog_midpoint": ({"method": "leapfrog_midpoint", "dt": 1e-2}, 1e-1),
}
ADAPTIVE = {
    "coupled_bosh3": {"method": "bosh3", "coupling": 0.999, "rtol": 1e-6, "atol": 1e-6},
    "coupled_tsit5": {"method": "tsit5", "coupling": 0.999, "rtol": 1e-8, "atol": 1e-8},
    "coupled_auto": {"coupling": 0.999, "rtol": 1e-8, "atol": 1e-8},
    "ees25": {"method": "ees25", "rtol": 1e-5, "atol": 1e-5},
    "alf": {"method": "alf", "rtol": 1e-5, "atol": 1e-5},
    "reversible_heun": {"method": "reversible_heun", "rtol": 1e-5, "atol": 1e-5},
}
SCHEMES = {
    **{f"{name}_fixed": steps for name, (steps, _) in FIXED.items()},
    **{f"{name}_adaptive": steps for name, steps in ADAPTIVE.items()},
}
CIRCLE = costate.Model("param w = 1\nstate x = 1\nstate v = 0\nx' = w*v\nv' = -w*x\n")


@pytest.fixture(scope="module")
def loss():
    return costate.LeastSquares(output="in_bed", t=DAYS, values=COUNTS, sigma=10.0)


@pytest.mark.parametrize("name", FIXED)
def test_fixed_steps_against_scipy(client, sir, name):
    steps, error = FIXED[name]
    sol = client.solve(sir, t=(0, 14), save_at=DAYS, **steps)
    found = np.column_stack([sol["s"], sol["i"], sol["r"]])
    assert np.abs(found - sir_states(DAYS)).max() < error
    for option, value in steps.items():
        assert sol.options[option] == value
    assert ("coupling" in sol.options) == ("coupling" in steps)
    assert ("eta" in sol.options) == (steps["method"] == "alf")


@pytest.mark.parametrize("name", ADAPTIVE)
def test_adaptive_steps_against_scipy(client, sir, name):
    sol = client.solve(sir, t=(0, 14), save_at=DAYS, return_grid=True, **ADAPTIVE[name])
    found = np.column_stack([sol["s"], sol["i"], sol["r"]])
    assert np.abs(found - sir_states(DAYS)).max() < 763 * 100 * ADAPTIVE[name]["rtol"]
    again = client.solve(
        sir,
        t=(0, 14),
        save_at=DAYS,
        method=sol.options["method"],
        coupling=sol.options.get("coupling"),
        grid=sol.grid,
    )
    assert again["i"].tobytes() == sol["i"].tobytes()


@pytest.mark.parametrize("name", SCHEMES)
def test_steps_taken_back_give_the_gradient_of_the_scheme(client, sir, loss, name):
    stored, back = (
        client.gradient(
            sir,
            t=(0, 14),
            loss=loss,
            wrt=["b", "k", "i"],
            gradient_method=method,
            report=False,
            **SCHEMES[name],
        )
        for method in ("backprop", "reversible")
    )
    assert back.value == stored.value
    np.testing.assert_allclose(back.vector, stored.vector, rtol=1e-10)
    assert back.stats.solve == stored.stats.solve
    if stored.stats.solve.accepted_steps > 1000:
        assert back.stats.peak_stored_bytes < stored.stats.peak_stored_bytes / 3


@pytest.mark.parametrize("method", ["forward", "checkpointed", "segmented"])
def test_other_gradient_methods_of_a_coupled_scheme(client, sir, loss, method):
    scheme = {"method": "rk4", "coupling": 0.999, "dt": 0.05, "report": False}
    stored = client.gradient(sir, t=(0, 14), loss=loss, gradient_method="backprop", **scheme)
    other = client.gradient(sir, t=(0, 14), loss=loss, gradient_method=method, **scheme)
    np.testing.assert_allclose(other.vector, stored.vector, rtol=1e-10)


def test_the_gradient_against_differences_of_scipy(client, sir, loss):
    def witness(b=1.66, k=0.44):
        return np.sum(((sir_states(DAYS, b, k, 1.0)[:, 1] - COUNTS) / 10.0) ** 2)

    g = client.gradient(
        sir,
        t=(0, 14),
        loss=loss,
        wrt=["b", "k"],
        method="dopri5",
        coupling=0.999,
        rtol=1e-9,
        atol=1e-9,
        gradient_method="reversible",
    )
    expected = [
        central_difference(lambda b: witness(b=b), 1.66),
        central_difference(lambda k: witness(k=k), 0.44),
    ]
    np.testing.assert_allclose(g.vector, expected, rtol=1e-5)
    assert g.report.good


def circle(client, t1, gradient_method, **options):
    """Of x(t1) = cos(w t1) by w = 1: -t1 sin(t1)."""
    return client.gradient(
        CIRCLE,
        t=(0, t1),
        loss=costate.Terminal(states={"x": 1.0}),
        wrt=["w"],
        gradient_method=gradient_method,
        dt=0.01,
        **options,
    )


def test_memory_grows_by_step_times_alone(client):
    def stored(t1, gradient_method):
        g = circle(client, t1, gradient_method, method="rk4", coupling=1.0, report=False)
        assert g["w"] == pytest.approx(-t1 * math.sin(t1), rel=1e-6, abs=1e-4)
        return g.stats.peak_stored_bytes

    short, long = stored(2.0, "reversible"), stored(50.0, "reversible")
    # Eight bytes a time, in a buffer that doubles; few states beside.
    assert long - short < 3 * 8 * 4800
    assert stored(50.0, "backprop") > 10 * long


# Rounding is foreseen from coupling and spectral radius; a second pass is for what was not.
@pytest.mark.parametrize("w", [0.01, 1.0])
@pytest.mark.parametrize("coupling", [0.999, 0.99, 0.95])
@pytest.mark.parametrize("t1", [50.0, 80.0, 100.0, 120.0])
def test_one_walk_back_is_enough(client, t1, coupling, w):
    scheme = {"method": "midpoint", "coupling": coupling, "report": False}
    g = circle(client, t1, "reversible", params={"w": w}, **scheme)
    assert g.stats.recomputed_steps == 0
    assert g.stats.reconstruction_error < 1e-3


# A circle neither grows nor shrinks, but a coupling of 0.99 multiplies what rounding does to the
# second vector of the scheme by 1/0.99 in each step back: by 1e43 in ten thousand.
def test_digits_that_are_lost_are_reported(client):
    scheme = {"method": "rk4", "coupling": 0.99}
    lost = circle(client, 100.0, "reversible", checkpoint_every=5000, **scheme)
    assert lost.report.verdict == "failed"
    assert lost.stats.reconstruction_error > 1
    assert lost.report.reconstruction_error == lost.stats.reconstruction_error
    assert "checkpoint_every" in str(lost.report)
    stored = circle(client, 100.0, "backprop", **scheme)
    kept = circle(client, 100.0, "reversible", **scheme)
    dense = circle(client, 100.0, "reversible", checkpoint_every=100, **scheme)
    for g in (kept, dense):
        assert g.report.verdict != "failed"
        assert g["w"] == pytest.approx(stored["w"], rel=1e-10)
        assert g.stats.reconstruction_error < 1e-3
        assert g.stats.peak_stored_bytes < stored.stats.peak_stored_bytes / 5
    assert dense.gradient_options["checkpoint_every"] == 100


@pytest.mark.parametrize("steps", [{"dt": 0.02}, {"rtol": 1e-7, "atol": 1e-7}])
def test_batches(client, sir, loss, steps):
    rates = np.linspace(1.2, 2.2, 11)
    options = {
        "t": (0, 14),
        "loss": loss,
        "wrt": ["b", "k"],
        "method": "tsit5",
        "coupling": 0.999,
        "gradient_method": "reversible",
        "report": False,
        **steps,
    }
    together = client.gradient(sir, params={"b": rates}, **options)
    assert together["b"].shape == (11,)
    for index in (0, 7):
        alone = client.gradient(sir, params={"b": rates[index]}, **options)
        assert alone["b"] == together["b"][index]
        assert alone.value == together.value[index]
    sol = client.solve(
        sir, t=(0, 14), params={"b": rates}, method="tsit5", coupling=0.999, save_at=DAYS, **steps
    )
    assert sol["i"].shape == (11, 14)
    assert np.abs(sol["i"][7] - sir_states(DAYS, b=rates[7])[:, 1]).max() < 0.1


def test_a_memory_budget_is_kept(client):
    scheme = {"method": "rk4", "coupling": 0.999, "report": False}
    g = circle(client, 50.0, "reversible", memory_budget=100e3, **scheme)
    assert g.stats.peak_stored_bytes <= 100e3
    with pytest.raises(costate.LimitExceeded, match="raise the memory budget"):
        circle(client, 50.0, "reversible", memory_budget=10e3, **scheme)


def test_auto_goes_back_where_storing_does_not_fit(client):
    scheme = {"method": "rk4", "coupling": 0.999, "report": False}
    net = costate.Model("param w[60] = 0.1\nstate x = 1\nx' = -x*sum(w)/60\n")
    request = {"t": (0, 50), "dt": 0.01, "loss": costate.Terminal(states={"x": 1.0}), **scheme}
    small = client.gradient(net, memory_budget=100e3, **request)
    large = client.gradient(net, **request)
    assert (small.method, large.method) == ("reversible", "backprop")
    assert "over the budget" in small.method_reason
    np.testing.assert_allclose(small.vector, large.vector, rtol=1e-10)


def test_other_calls_on_coupled_schemes(client, sir, loss):
    scheme = {"method": "rk4", "coupling": 0.999, "dt": 0.05}
    g = client.gradient(
        sir,
        t=(0, 14),
        loss=loss,
        wrt=["b", "k"],
        gradient_method="reversible",
        report=costate.Report.all(),
        **scheme,
    )
    assert g.report.verdict != "failed"
    s = client.sensitivities(sir, t=(0, 14), save_at=DAYS, wrt=["b", "k"], **scheme)
    residuals = (s.solution["in_bed"] - COUNTS) / 100
    by_chain_rule = [2 * residuals @ s["in_bed", name] for name in ("b", "k")]
    np.testing.assert_allclose(g.vector, by_chain_rule, rtol=1e-9)
    h = client.hvp(sir, t=(0, 14), loss=loss, vectors={"b": 1.0}, wrt=["b", "k"], **scheme)

    def slope(b):
        return client.gradient(
            sir,
            t=(0, 14),
            loss=loss,
            wrt=["b", "k"],
            params={"b": b},
            gradient_method="backprop",
            report=False,
            **scheme,
        ).vector

    np.testing.assert_allclose(h.products[0], central_difference(slope, 1.66), rtol=1e-6)
    check = client.check_gradient(sir, t=(0, 14), loss=loss, wrt=["b", "k"], **scheme)
    assert check.largest_difference < 1e-6
    stream = client.stream_solve(sir, t=(0, 14), save_at=DAYS, **scheme)
    rows = np.concatenate([chunk["i"] for chunk in stream])
    assert rows.tobytes() == s.solution["i"].tobytes()


def test_the_server_says_which_methods_go_back(client):
    methods = client.server_info().methods
    assert {name for name, m in methods.items() if m.reversal == "exact"} == {
        "alf",
        "reversible_heun",
        "leapfrog_midpoint",
    }
    assert {name for name, m in methods.items() if m.reversal == "near"} == {"ees25", "ees27"}
    assert methods["rk4"].takes_coupling
    assert methods["rk4"].evaluations == 4
    assert not methods["alf"].takes_coupling


@pytest.mark.parametrize(
    ("arguments", "field", "text"),
    [
        ({"coupling": 0.0}, "coupling", "(0, 1]"),
        ({"coupling": 1.5}, "coupling", "(0, 1]"),
        ({"coupling": math.nan}, "coupling", "(0, 1]"),
        ({"method": "alf", "coupling": 0.999}, "coupling", "by itself"),
        ({"method": "alf", "eta": 0.5}, "eta", "other than 0.5"),
        ({"eta": 0.9}, "eta", "alf has damping"),
        ({"method": "rk4", "eta": 1.0}, "eta", "alf has damping"),
        ({"method": "rk4", "coupling": 0.999}, "method", "error estimate"),
    ],
)
def test_schemes_that_cannot_be(client, sir, arguments, field, text):
    with pytest.raises(costate.InvalidRequest) as caught:
        client.solve(sir, t=(0, 14), **arguments)
    assert caught.value.field == f"simulation.options.{field}"
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"gradient_method": "reversible"}, "gradient.method"),
        ({"gradient_method": "gauss", "coupling": 0.999}, "gradient.method"),
        ({"gradient_method": "complex_step", "coupling": 0.999}, "gradient.method"),
        ({"gradient_method": "backprop", "checkpoint_every": 4}, "gradient.checkpoint_every"),
        (
            {"gradient_method": "reversible", "coupling": 0.999, "checkpoints": 4},
            "gradient.checkpoints",
        ),
    ],
)
def test_gradients_that_cannot_be(client, sir, loss, arguments, field):
    with pytest.raises(costate.InvalidRequest) as caught:
        client.gradient(sir, t=(0, 14), loss=loss, **arguments)
    assert caught.value.field == field
