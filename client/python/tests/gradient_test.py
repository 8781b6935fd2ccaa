import costate
import numpy as np
import pytest
from scipy.optimize import approx_fprime, check_grad
from witness import central_difference
from witness import sir as sir_states

DAYS = np.arange(1.0, 15.0)
COUNTS = np.array([3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4], dtype=float)
TIGHT = {"rtol": 1e-10, "atol": 1e-10}


def witness_loss(b=1.66, k=0.44, i=1.0, *, t0=0.0):
    model = sir_states(DAYS, b, k, i, t0=t0)[:, 1]
    return np.sum(((model - COUNTS) / 10.0) ** 2)


@pytest.fixture(scope="module")
def loss():
    return costate.LeastSquares(output="in_bed", t=DAYS, values=COUNTS, sigma=10.0)


def test_the_call_of_the_documentation(client, sir, loss):
    g = client.gradient(sir, t=(0, 14), loss=loss, wrt=["b", "k", "i"])
    assert isinstance(g.value, float)
    assert g.wrt == ("b", "k", "i")
    np.testing.assert_array_equal(g.vector, [g["b"], g["k"], g["i"]])
    assert g.method in ("forward", "backprop")
    assert g.method_reason
    assert g.success
    assert g.stats.solve.accepted_steps > 0
    assert g.value == pytest.approx(witness_loss(), rel=1e-3)


@pytest.mark.parametrize("method", ["forward", "backprop"])
def test_against_differences_of_scipy(client, sir, loss, method):
    g = client.gradient(
        sir, t=(0, 14), loss=loss, wrt=["b", "k", "i"], gradient_method=method, **TIGHT
    )
    assert g.method == method
    assert g.value == pytest.approx(witness_loss(), rel=1e-7)
    expected = [
        central_difference(lambda b: witness_loss(b=b), 1.66),
        central_difference(lambda k: witness_loss(k=k), 0.44),
        central_difference(lambda i: witness_loss(i=i), 1.0),
    ]
    np.testing.assert_allclose(g.vector, expected, rtol=1e-6)


def test_t0(client, sir, loss):
    g = client.gradient(sir, t=(0, 14), loss=loss, wrt=["t0"], **TIGHT)
    expected = central_difference(lambda t0: witness_loss(t0=t0), 0.0)
    assert g["t0"] == pytest.approx(expected, rel=1e-6)


def test_t1_moves_only_a_terminal_loss(client, sir):
    terminal = costate.Terminal(states={"i": 1.0})
    g = client.gradient(sir, t=(0, 5), loss=terminal, wrt=["t1"], **TIGHT)
    s, i, _ = sir_states([5.0])[0]
    assert g.value == pytest.approx(i, rel=1e-8)
    assert g["t1"] == pytest.approx(1.66 * s * i / 763 - 0.44 * i, rel=1e-7)
    linear = costate.Linear(t=[5.0], states={"i": 1.0})
    g = client.gradient(sir, t=(0, 5), loss=linear, wrt=["t1"], **TIGHT)
    assert g["t1"] == pytest.approx(0, abs=1e-6)  # the error of the interpolant


def test_by_default_every_parameter(client, sir, loss):
    g = client.gradient(sir, t=(0, 14), loss=loss)
    assert g.wrt == ("b", "k")
    assert client.gradient(sir, loss=loss).value == g.value  # the span follows the data


def test_scipy_agrees_with_the_gradient_of_its_own_values(client, lotka_volterra):
    t = np.linspace(0, 10, 101)
    info = client.describe(lotka_volterra)
    names = list(info.params)
    states = list(info.states)
    loss = sum(costate.LeastSquares(state=name, t=t, values=np.zeros(101)) for name in states)
    start = np.array([float(info.params[name].default) for name in names])

    def call(x):
        return client.gradient(
            lotka_volterra, t=(0, 10), loss=loss, wrt=names, params=dict(zip(names, x)), **TIGHT
        )

    error = check_grad(lambda x: call(x).value, lambda x: call(x).vector, start, epsilon=1e-6)
    assert error < 1e-3 * np.linalg.norm(call(start).vector)
    rough = approx_fprime(start, lambda x: call(x).value, 1e-6)
    np.testing.assert_allclose(call(start).vector, rough, rtol=1e-3)


def test_tensors_and_their_shapes(client, spiral):
    rng = np.random.default_rng(3)
    params = {
        "W1": 0.3 * rng.standard_normal((50, 2)),
        "b1": 0.1 * rng.standard_normal(50),
        "W2": 0.1 * rng.standard_normal((2, 50)),
        "b2": 0.1 * rng.standard_normal(2),
    }
    t = np.linspace(0, 1.5, 30)
    target = rng.standard_normal((30, 2))
    loss = costate.LeastSquares(state="y", t=t, values=target)

    def call(**changed):
        return client.gradient(
            spiral,
            t=(0, 1.5),
            loss=loss,
            wrt=["W1", "W2", "y"],
            want_saved=True,
            params={**params, **changed},
            **TIGHT,
        )

    g = call()
    assert g["W1"].shape == (50, 2)
    assert g["W2"].shape == (2, 50)
    assert g["y"].shape == (2,)
    assert g.vector.shape == (202,)
    assert g.value == pytest.approx(np.sum((g.saved["y"] - target) ** 2), rel=1e-12)

    def moved(x):
        weights = params["W1"].copy()
        weights[7, 1] = x
        return call(W1=weights).value

    expected = central_difference(moved, params["W1"][7, 1], step=1e-2)
    assert g["W1[7,1]"] == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_batches(client, sir, loss):
    rates = np.array([1.2, 1.66, 2.0])
    batch = client.gradient(sir, t=(0, 14), loss=loss, wrt=["b", "i"], params={"b": rates})
    assert batch.value.shape == (3,)
    assert batch.vector.shape == (3, 2)
    for index, rate in enumerate(rates):
        alone = client.gradient(sir, t=(0, 14), loss=loss, wrt=["b", "i"], params={"b": rate})
        assert batch.value[index] == alone.value
        np.testing.assert_allclose(batch.vector[index], alone.vector, rtol=1e-12)


def test_missing_values_do_not_count(client, sir):
    values = COUNTS.copy()
    values[::2] = np.nan
    some = costate.LeastSquares(output="in_bed", t=DAYS, values=values)
    rest = costate.LeastSquares(output="in_bed", t=DAYS[1::2], values=COUNTS[1::2])
    a = client.gradient(sir, t=(0, 14), loss=some, dt=0.1)
    b = client.gradient(sir, t=(0, 14), loss=rest, dt=0.1)
    assert a.value == pytest.approx(b.value, rel=1e-12)
    np.testing.assert_allclose(a.vector, b.vector, rtol=1e-10)


def test_half_and_sums(client, sir, loss):
    half = costate.LeastSquares(output="in_bed", t=DAYS, values=COUNTS, sigma=10.0, half=True)
    whole = client.gradient(sir, t=(0, 14), loss=loss)
    both = client.gradient(sir, t=(0, 14), loss=half + half)
    assert both.value == pytest.approx(whole.value, rel=1e-12)
    np.testing.assert_allclose(both.vector, whole.vector, rtol=1e-10)


def test_a_gradient_on_recorded_steps(client, sir, loss):
    first = client.gradient(sir, t=(0, 14), loss=loss, return_grid=True)
    again = client.gradient(sir, t=(0, 14), loss=loss, grid=first.grid)
    assert again.value == first.value


def test_early_end_is_nan_not_zero(client, sir, loss):
    g = client.gradient(sir, t=(0, 14), loss=loss, max_steps=3)
    assert not g.success
    assert g.status.reason == "max_steps"
    assert np.isnan(g.value)
    assert np.all(np.isnan(g.vector))
    assert "max_steps" in repr(g)


def test_tangent_control(client, sir, loss):
    plain = client.solve(sir, t=(0, 14), save_at=DAYS)
    g = client.gradient(
        sir,
        t=(0, 14),
        loss=loss,
        gradient_method="forward",
        tangent_control="primal_only",
        want_saved=True,
    )
    assert g.tangent_control == "primal_only"
    assert g.saved["in_bed"].tobytes() == plain["in_bed"].tobytes()
    full = client.gradient(sir, t=(0, 14), loss=loss, gradient_method="forward")
    assert full.tangent_control == "full"
    assert full.stats.solve.accepted_steps >= plain.stats.accepted_steps


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"wrt": ["q"]}, "q"),
        ({"wrt": []}, "wrt"),
        ({"wrt": ["b", "b"]}, "b"),
        ({"loss": costate.LeastSquares(output="q", t=[1], values=[1])}, "q"),
        ({"loss": costate.LeastSquares(state="i[0]", t=[1], values=[1])}, "i"),
        ({"loss": costate.LeastSquares(state="i", t=[99], values=[1])}, "times"),
        ({"gradient_method": "sideways"}, "sideways"),
    ],
)
def test_requests_that_make_no_sense(client, sir, loss, arguments, text):
    with pytest.raises(costate.InvalidRequest) as caught:
        client.gradient(sir, **{"t": (0, 14), "loss": loss, **arguments})
    assert text in str(caught.value)
    assert caught.value.field
