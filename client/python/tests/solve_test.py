import threading
import time

import costate
import numpy as np
import pytest
from conftest import problem
from witness import sir as sir_states

TIGHT = {"rtol": 1e-9, "atol": 1e-9}


def test_the_call_of_the_documentation(client, sir):
    t = np.linspace(0, 50, 201)
    sol = client.solve(
        sir, t=(0, 50), save_at=t, params={"b": 1.7}, method="tsit5", rtol=1e-8, atol=1e-10
    )
    np.testing.assert_array_equal(sol.t, t)
    assert sol["i"].shape == (201,)
    expected = sir_states(t, b=1.7)
    np.testing.assert_allclose(sol.y, expected, rtol=1e-6, atol=1e-5)
    np.testing.assert_array_equal(sol.outputs["in_bed"], sol["i"])
    assert sol.success
    assert sol.status.reason == "reached_end"
    assert sol.status.t == 50
    assert sol.stats.accepted_steps == sol.status.step > 10
    assert sol.timing.engine > 0
    assert sol.options["method"] == "tsit5"
    assert (sol.options["rtol"], sol.options["atol"]) == (1e-8, 1e-10)
    assert sol.model_name.startswith("models/")


def test_defaults_are_echoed(client, sir):
    sol = client.solve(sir, t=(0, 1))
    assert (sol.options["rtol"], sol.options["atol"]) == (1e-6, 1e-9)
    assert sol.options["controller"] == "pi"
    assert sol.options["max_steps"] == 1_000_000
    assert sol.options["save_at"] == "end"
    assert sol.t.tolist() == [1.0]


def test_a_batch_over_a_scalar_parameter(client, sir):
    rates = np.linspace(1, 3, 1000)
    sol = client.solve(sir, params={"b": rates})
    assert sol["i"].shape == (1000, 1)
    assert sol.t.tolist() == [1.0]  # nobody said how far: (0, 1)
    for index in (0, 499, 999):
        expected = sir_states([1.0], b=rates[index])[0]
        np.testing.assert_allclose(sol.y[index, 0], expected, rtol=1e-5)


def test_a_batch_has_the_bits_of_single_solves(client, sir):
    rates = [0.9, 1.7, 2.6, 1.2, 3.1, 0.4, 2.2, 1.1, 1.9]
    t = np.linspace(0, 14, 15)
    batch = client.solve(sir, t=(0, 14), save_at=t, params={"b": rates})
    for index, rate in enumerate(rates):
        alone = client.solve(sir, t=(0, 14), save_at=t, params={"b": rate})
        assert batch.y[index].tobytes() == alone.y.tobytes()


def test_a_batch_of_one(client, sir):
    sol = client.solve(sir, t=(0, 1), params={"b": [1.7]})
    assert sol.batched
    assert sol["i"].shape == (1, 1)


def test_batches_of_states_spans_and_tensors(client):
    model = costate.Model("param A[2, 2]\nstate y[2] = [1, 0]\ny' = A @ y")
    angle = np.array([1.0, 2.0, 3.0])
    turn = angle[:, None, None] * np.array([[0.0, -1.0], [1.0, 0.0]])
    sol = client.solve(model, t=(0, [1.0, 0.5, 2.0]), params={"A": turn}, **TIGHT)
    assert sol["y"].shape == (3, 1, 2)
    np.testing.assert_array_equal(sol.t, [[1.0], [0.5], [2.0]])
    phase = angle * [1.0, 0.5, 2.0]
    np.testing.assert_allclose(sol["y[0]"][:, 0], np.cos(phase), atol=1e-7)
    np.testing.assert_allclose(sol["y[1]"][:, 0], np.sin(phase), atol=1e-7)
    sol = client.solve(model, t=(0, 1), params={"A": turn[0]}, y0={"y": [[1, 0], [0, 1]]}, **TIGHT)
    np.testing.assert_allclose(sol["y"][1, 0], [-np.sin(1), np.cos(1)], atol=1e-7)


def test_batches_that_do_not_agree(client, sir):
    with pytest.raises(costate.InvalidRequest, match="batch"):
        client.solve(sir, params={"b": [1, 2, 3], "k": [1, 2]})


def test_every_step_is_ragged_in_a_batch(client, sir):
    sol = client.solve(sir, t=(0, 30), save_at="steps", params={"b": [0.5, 3.0]})
    assert sol.lengths[0] != sol.lengths[1]
    np.testing.assert_array_equal(
        sol.lengths, [stats.accepted_steps + 1 for stats in sol.stats_each]
    )
    for index, rate in enumerate([0.5, 3.0]):
        alone = client.solve(sir, t=(0, 30), save_at="steps", params={"b": rate})
        part = sol.trajectory(index)
        np.testing.assert_array_equal(part.t, alone.t)
        np.testing.assert_array_equal(part.y, alone.y)
        assert alone.t[0] == 0
        assert alone.t[-1] == 30
    own = sol.trajectory(0).t
    every_third = client.solve(sir, t=(0, 30), save_at=3, params={"b": 0.5})
    np.testing.assert_array_equal(every_third.t, np.union1d(own[::3], own[-1:]))


def test_the_span_follows_save_at(client, sir):
    sol = client.solve(sir, save_at=[1.0, 2.0, 5.0])
    assert sol.status.t == 5.0


def test_backwards(client, sir):
    there = client.solve(sir, t=(0, 5), **TIGHT)
    back = client.solve(sir, t=(5, 0), y0={n: there.final[n] for n in "sir"}, **TIGHT)
    np.testing.assert_allclose(back.y[-1], [762, 1, 0], atol=1e-4)


def test_fixed_steps_and_recorded_grids(client, sir):
    fixed = client.solve(sir, t=(0, 1), dt=0.1, method="rk4", return_grid=True)
    assert fixed.stats.accepted_steps == 10
    assert fixed.options["dt"] == 0.1
    np.testing.assert_allclose(fixed.grid, np.linspace(0, 1, 11), atol=1e-12)
    free = client.solve(sir, t=(0, 14), return_grid=True)
    again = client.solve(sir, t=(0, 14), grid=free.grid)
    assert again.y.tobytes() == free.y.tobytes()
    batch = client.solve(sir, t=(0, 14), params={"b": [1.0, 2.0]}, return_grid=True)
    assert len(batch.grids) == 2
    with pytest.raises(ValueError, match="grids"):
        batch.grid  # noqa: B018


@pytest.mark.parametrize(
    "method", ["midpoint", "heun", "ralston2", "ralston3", "bosh3", "tsit5", "dopri5", "dopri8"]
)
def test_methods(client, sir, method):
    sol = client.solve(sir, t=(0, 14), method=method, rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(sol.y[-1], sir_states([14.0])[0], rtol=2e-4)
    assert sol.options["method"] == method


def test_tolerances_by_state_name(client, sir):
    sol = client.solve(sir, t=(0, 1), atol={"i": 1e-3})
    np.testing.assert_array_equal(sol.options["atol"], [1e-9, 1e-3, 1e-9])


def test_a_controller_with_constants(client, sir):
    sol = client.solve(
        sir, t=(0, 5), controller=costate.Controller("pid", safety=0.8, max_factor=4)
    )
    assert sol.options["controller"] == "pid"
    assert (sol.options["safety"], sol.options["max_factor"]) == (0.8, 4)


def test_states_or_outputs_may_stay_away(client, sir):
    sol = client.solve(sir, t=(0, 1), states=False)
    assert list(sol.states) == []
    assert sol["in_bed"].shape == (1,)
    sol = client.solve(sir, t=(0, 1), outputs=False)
    assert sol.keys() == ["s", "i", "r"]


def test_too_few_steps_end_early_without_an_exception(client, sir):
    t = np.linspace(0, 50, 11)
    sol = client.solve(sir, t=(0, 50), save_at=t, max_steps=5)
    assert not sol.success
    assert not sol.status
    assert sol.status.reason == "max_steps"
    assert 0 < sol.status.t < 50
    assert "max_steps" in repr(sol)
    np.testing.assert_array_equal(sol.t, t)
    np.testing.assert_array_equal(np.isnan(sol["i"]), t > sol.status.t)


def test_a_state_that_explodes(client):
    model = costate.Model("state quiet = 1\nstate v = 1\nquiet' = 0\nv' = v^2")
    sol = client.solve(model, t=(0, 2), max_steps=10_000)
    assert sol.status.reason in ("non_finite", "step_underflow", "max_steps")
    assert sol.status.t == pytest.approx(1.0, abs=1e-3)
    assert np.isnan(sol["v"][-1])
    if sol.status.state:
        assert sol.status.state == "v"


def test_one_of_a_batch_ends_early(client):
    model = costate.Model("param a = 1\nstate v = 1\nv' = a*v^2")
    sol = client.solve(model, t=(0, 2), params={"a": [0.1, 1.0, 0.2]}, max_steps=10_000)
    assert [bool(status) for status in sol.statuses] == [True, False, True]
    assert sol.status.trajectory == 1
    np.testing.assert_allclose(sol["v"][[0, 2], 0], [1 / 0.8, 1 / 0.6], rtol=1e-5)
    assert np.isnan(sol["v"][1, 0])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"params": {"q": 1.0}}, "q"),
        ({"params": {"b": -1.0}}, "b"),
        ({"params": {"b": np.zeros((2, 2))}}, "b"),
        ({"params": {"b": np.nan}}, "b"),
        ({"y0": {"b": 1.0}}, "b"),
        ({"t": (0, np.inf)}, "t1"),
        ({"t": (0, 1), "save_at": [0.5, 2.0]}, "times"),
        ({"t": (0, 1), "save_at": [0.5, 0.2]}, "times"),
        ({"rtol": -1.0}, "rtol"),
        ({"rtol": 0.0, "atol": 0.0}, "tol"),
        ({"atol": [1e-9, 1e-9]}, "atol"),
        ({"method": "rk4"}, "fixed"),
        ({"dt": -0.1}, "step"),
        ({"grid": [0.0, 0.7, 0.5, 1.0]}, "grid"),
    ],
)
def test_requests_that_make_no_sense(client, sir, arguments, text):
    with pytest.raises(costate.InvalidRequest) as caught:
        client.solve(sir, **{"t": (0, 1), **arguments})
    assert caught.value.field
    assert text in str(caught.value)
    assert caught.value.code == "INVALID_ARGUMENT"


SLOW = """
state y = 1
y' = sin(1000000*t) * y
"""


def test_deadline_ends_the_work(client):
    start = time.monotonic()
    with pytest.raises(costate.DeadlineExceeded):
        client.solve(
            costate.Model(SLOW), t=(0, 1e6), dt=1e-6 * 8, method="rk4", timeout=0.3, max_steps=10**9
        )
    assert time.monotonic() - start < 5


def test_wall_budget_returns_what_was_reached(client):
    sol = client.solve(
        costate.Model(SLOW), t=(0, 1e6), rtol=1e-10, wall_budget=0.1, max_steps=10**9
    )
    assert sol.status.reason == "wall_budget"
    assert 0 < sol.status.t < 1e6


def test_one_client_serves_several_threads(client, sir):
    results = {}

    def work(rate):
        results[rate] = client.solve(sir, t=(0, 14), params={"b": rate}).y

    threads = [threading.Thread(target=work, args=(1 + 0.1 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rate, y in results.items():
        assert y.tobytes() == client.solve(sir, t=(0, 14), params={"b": rate}).y.tobytes()


def test_plot(client, sir):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    t = np.linspace(0, 14, 29)
    ax = client.solve(sir, t=(0, 14), save_at=t).plot()
    assert [line.get_label() for line in ax.lines] == ["in_bed"]
    batch = client.solve(sir, t=(0, 14), save_at=t, params={"b": np.linspace(1, 2, 5)})
    ax = batch.plot("s")
    np.testing.assert_array_equal(ax.lines[-1].get_ydata(), batch["s"][-1])
    matrix = client.solve(problem("spiral_node"), t=(0, 1), save_at="steps", params=zero_weights())
    assert [line.get_label() for line in matrix.plot(["y"]).lines] == ["y[0]", "y[1]"]


def zero_weights():
    return {"W1": np.zeros((50, 2)), "b1": np.zeros(50), "W2": np.zeros((2, 50)), "b2": [0.0, 1.0]}


def test_tensor_parameters(client, spiral):
    sol = client.solve(spiral, t=(0, 1.5), params=zero_weights())
    np.testing.assert_allclose(sol["y"][-1], [2.0, 1.5], rtol=1e-12)
    with pytest.raises(costate.InvalidRequest) as caught:
        client.solve(spiral, t=(0, 1), params={"W1": np.zeros((2, 50))})
    assert "W1" in str(caught.value)
