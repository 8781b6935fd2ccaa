import asyncio

import costate
import numpy as np
import pytest
from witness import central_difference
from witness import sir as sir_states

DAYS = np.arange(1.0, 15.0)
COUNTS = np.array([3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4], dtype=float)
TIGHT = {"rtol": 1e-9, "atol": 1e-9}
BACKWARD = costate.Backward(rtol=1e-10, atol=1e-10)
METHODS = {
    "forward": {},
    "backprop": {},
    "checkpointed": {"checkpoints": 5},
    "segmented": {"segments": 4},
    "backsolve": {"backward": BACKWARD},
    "interpolating": {"backward": BACKWARD},
    "quadrature": {"backward": BACKWARD, "checkpoint_every": 7},
    "gauss": {},
    "finite_difference": {"difference": costate.Difference(frozen_grid=True)},
    "complex_step": {},
}


@pytest.fixture(scope="module")
def loss():
    return costate.LeastSquares(output="in_bed", t=DAYS, values=COUNTS, sigma=10.0)


def witness_loss(b=1.66, k=0.44):
    return np.sum(((sir_states(DAYS, b, k, 1.0)[:, 1] - COUNTS) / 10.0) ** 2)


def witness_gradient():
    by_b = central_difference(lambda b: witness_loss(b=b), 1.66)
    return np.array([by_b, central_difference(lambda k: witness_loss(k=k), 0.44)])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_against_differences_of_scipy(client, sir, loss, method):
    g = client.gradient(
        sir, t=(0, 14), loss=loss, gradient_method=method, report=False, **METHODS[method], **TIGHT
    )
    assert g.method == method
    assert g.method_reason == ""
    assert g.gradient_options["gradient_method"] == method
    for name, value in METHODS[method].items():
        assert g.gradient_options[name] == value
    np.testing.assert_allclose(g.vector, witness_gradient(), rtol=1e-5)


def test_the_server_describes_them(client):
    described = client.server_info().gradient_methods
    assert set(described) == {*METHODS, "reversible"}  # see reversible_test.py
    assert described["gauss"].family == "continuous_adjoint"
    assert described["checkpointed"].citation


def test_checkpoints_change_no_bit(client, sir, loss):
    def call(**more):
        return client.gradient(sir, t=(0, 14), loss=loss, report=False, dt=0.05, **more)

    plain = call(gradient_method="backprop")
    for slots in (2, 7, 64):
        few = call(gradient_method="checkpointed", checkpoints=slots)
        assert few.vector.tobytes() == plain.vector.tobytes()
        assert few.stats.peak_stored_bytes < plain.stats.peak_stored_bytes
        assert few.stats.recomputed_steps > 0
    parts = call(gradient_method="segmented", segments=5)
    assert parts.vector.tobytes() == plain.vector.tobytes()


def test_a_memory_budget_is_kept_or_refused(client, sir, loss):
    def call(method, budget):
        return client.gradient(
            sir,
            t=(0, 14),
            loss=loss,
            report=False,
            dt=0.01,
            gradient_method=method,
            memory_budget=budget,
        )

    g = call("checkpointed", 20e3)
    assert 0 < g.stats.peak_stored_bytes <= 20e3
    with pytest.raises(costate.LimitExceeded, match="bytes") as caught:
        call("backprop", 20e3)
    assert caught.value.retry_after is None


@pytest.mark.parametrize("method", ["auto", "backprop", "finite_difference", "complex_step"])
def test_time_gradients(client, sir, loss, method):
    g = client.gradient(
        sir,
        t=(0, 14),
        loss=loss,
        time_gradient=True,
        gradient_method=method,
        report=False,
        rtol=1e-10,
        atol=1e-10,
    )
    np.testing.assert_array_equal(g.times, DAYS)
    s, i, _ = sir_states(DAYS).T
    slope = 1.66 * s * i / 763 - 0.44 * i
    expected = 2 * (i - COUNTS) / 100 * slope
    np.testing.assert_allclose(g.time_gradient, expected, rtol=1e-5, atol=1e-5)
    assert client.gradient(sir, t=(0, 14), loss=loss, report=False).time_gradient is None


@pytest.mark.parametrize("b", [1.66, [1.0, 1.66]])
def test_time_gradients_where_the_loss_has_no_times(client, sir, b):
    loss = costate.Terminal(states={"i": 1.0}) + costate.Integral("i")
    g = client.gradient(
        sir, t=(0, 14), loss=loss, params={"b": b}, time_gradient=True, want_saved=True
    )
    assert g.times.size == 0
    assert g.time_gradient.shape == (*np.shape(b), 0)
    assert g.saved["i"].shape == (*np.shape(b), 0)


def test_expressions_are_what_they_say(client, sir, loss):
    text = costate.Expression("sum(((in_bed - counts)/10)^2)", t=DAYS, data={"counts": COUNTS})
    a = client.gradient(sir, t=(0, 14), loss=text, report=False, **TIGHT)
    b = client.gradient(sir, t=(0, 14), loss=loss, report=False, **TIGHT)
    assert a.value == pytest.approx(b.value, rel=1e-12)
    np.testing.assert_allclose(a.vector, b.vector, rtol=1e-9)


def test_a_running_loss(client, sir):
    t = np.linspace(0, 14, 20001)

    def integral(b):
        values = (sir_states(t[1:], b, 0.44, 1.0)[:, 1] - 100) ** 2
        values = np.concatenate([[99.0**2], values])
        return np.sum((values[1:] + values[:-1]) / 2) * (t[1] - t[0])

    loss = costate.Integral("(in_bed - 100)^2")
    g = client.gradient(sir, t=(0, 14), loss=loss, wrt="b", report=False, **TIGHT)
    assert g.value == pytest.approx(integral(1.66), rel=1e-6)
    assert g["b"] == pytest.approx(central_difference(integral, 1.66), rel=1e-5)


def test_texts_that_are_wrong_are_shown(client, sir):
    with pytest.raises(costate.InvalidRequest, match="did you mean 'in_bed'") as caught:
        client.gradient(sir, t=(0, 14), loss=costate.Integral("in_bedd^2"))
    assert caught.value.field == "loss.terms[0].integral.integrand"


@pytest.mark.parametrize("gauss_newton", [False, True])
def test_hessian_products(client, sir, loss, gauss_newton):
    h = client.hvp(
        sir,
        t=(0, 14),
        loss=loss,
        vectors=[{"b": 1.0}, {"k": 1.0}, {"b": 2.0, "k": -1.0}],
        gauss_newton=gauss_newton,
        **TIGHT,
    )
    assert h.wrt == ("b", "k")
    assert h.products.shape == (3, 2)
    assert h["b"].shape == (3,)
    assert len(h) == 3
    assert h.products[0, 1] == pytest.approx(h.products[1, 0], rel=1e-6)
    np.testing.assert_allclose(h.products[2], 2 * h.products[0] - h.products[1], rtol=1e-6)
    g = client.gradient(sir, t=(0, 14), loss=loss, report=False, **TIGHT)
    np.testing.assert_allclose(h.vector, g.vector, rtol=1e-5)
    assert h.value == pytest.approx(g.value, rel=1e-7)
    if gauss_newton:
        s = client.sensitivities(sir, t=(0, 14), save_at=DAYS, wrt=["b", "k"], **TIGHT)
        jacobian = np.column_stack([s["in_bed", "b"], s["in_bed", "k"]]) / 10
        expected = 2 * jacobian.T @ jacobian
    else:
        step = 1e-4
        rows = [
            client.gradient(sir, t=(0, 14), loss=loss, params={"b": b}, report=False, **TIGHT)
            for b in (1.66 - step, 1.66 + step)
        ]
        expected = ((rows[1].vector - rows[0].vector) / (2 * step))[None, :]
    np.testing.assert_allclose(h.products[: len(expected)], expected, rtol=2e-4)


def test_hessian_of_more_names_than_the_vectors_have(client, sir, loss):
    one = client.hvp(sir, t=(0, 14), loss=loss, vectors={"b": 1.0}, wrt=["k", "b", "i"])
    assert one.products.shape == (1, 3)
    assert one.wrt == ("k", "b", "i")
    with pytest.raises(costate.InvalidRequest, match="'k'"):
        client.hvp(sir, t=(0, 14), loss=loss, vectors={"k": 1.0}, wrt=["b"])


def test_methods_against_each_other(client, sir, loss):
    check = client.check_gradient(sir, t=(0, 14), loss=loss, **TIGHT)
    assert check.methods == ("forward", "backprop", "gauss", "finite_difference")
    assert check.largest_difference < 1e-4
    np.testing.assert_allclose(check["gauss"].vector, witness_gradient(), rtol=1e-5)
    assert check["gauss"]["b"] == check["gauss"].vector[0]
    assert check["backprop"].cost_in_solves > 1
    assert [row.method for row in check] == list(check.methods)
    text = str(check)
    assert text.splitlines()[0] == "Gradient methods compared"
    assert len(text.splitlines()) == 6
    assert "finite_difference" in check._repr_html_()
    with pytest.raises(costate.UnknownName):
        check["backpropp"]
    pair = client.check_gradient(
        sir,
        t=(0, 14),
        loss=loss,
        methods=["backprop", "backsolve"],
        backward=costate.Backward(rtol=1e-8, atol=1e-8),
        **TIGHT,
    )
    assert pair["backsolve"].stats.reconstruction_error > 0


def test_the_other_client_has_them_too(client, sir, loss):
    async def run():
        async with costate.aio.connect(client.address) as twin:
            h = await twin.hvp(sir, t=(0, 14), loss=loss, vectors={"b": 1.0})
            check = await twin.check_gradient(sir, t=(0, 14), loss=loss, methods=["forward"])
            g = await twin.gradient(sir, t=(0, 14), loss=loss, gradient_method="segmented")
            return h, check, g

    h, check, g = asyncio.run(run())
    assert h.products.shape == (1, 1)
    assert check.methods == ("forward",)
    assert g.report.verdict


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"gradient_method": "backsolve"}, "gradient.backward.rtol"),
        ({"gradient_method": "backprop", "checkpoints": 3}, "gradient.checkpoints"),
        ({"gradient_method": "forward", "memory_budget": 1e6}, "gradient.memory_budget_bytes"),
        ({"gradient_method": "gauss", "tangent_control": "full"}, "gradient.tangent_control"),
        ({"method": "backprop"}, "method"),
        ({"gradient_method": "checkpointed", "checkpoints": 0}, "checkpoints"),
    ],
)
def test_choices_that_do_not_fit(client, sir, loss, arguments, field):
    with pytest.raises(costate.InvalidRequest) as caught:
        client.gradient(sir, t=(0, 14), loss=loss, **arguments)
    assert caught.value.field == field


def test_arguments_that_are_unknown(client, sir, loss):
    with pytest.raises(TypeError, match="did you mean 'checkpoints'"):
        client.gradient(sir, t=(0, 14), loss=loss, checkpoint=3)
    with pytest.raises(TypeError, match="unexpected keyword"):
        client.hvp(sir, t=(0, 14), loss=loss, vectors={"b": 1.0}, checkpoints=3)
    with pytest.raises(costate.InvalidRequest, match="methods"):
        client.check_gradient(sir, t=(0, 14), loss=loss, gradient_method="gauss")


def test_checkpoints_that_do_not_fit_go_to_the_scratch_directory(tmp_path):
    start = ", ".join(str(1 + 0.01 * i) for i in range(200))
    wide = costate.Model(f"param k = 0.5\nstate y[200] = [{start}]\ny' = -k*y")
    arguments = {
        "t": (0, 2),
        "loss": costate.Terminal(states={"y": 1.0}),
        "dt": 0.01,
        "report": False,
    }
    few = {"gradient_method": "checkpointed", "checkpoints": 100, "memory_budget": 64e3}
    with costate.local(arguments=[f"--scratch-directory={tmp_path}"]) as client:
        assert client.server_info().limits["max_disk_bytes"] > 0
        plain = client.gradient(wide, gradient_method="backprop", **arguments)
        g = client.gradient(wide, **few, **arguments)
    assert g.vector.tobytes() == plain.vector.tobytes()
    assert g.stats.disk_bytes >= 50 * 8 * 200
    assert g.stats.peak_stored_bytes <= 64e3
    assert not list(tmp_path.iterdir())
    with costate.local() as client, pytest.raises(costate.LimitExceeded, match="room on disk"):
        client.gradient(wide, **few, **arguments)


def test_a_scratch_directory_that_is_none(tmp_path):
    with pytest.raises(costate.ServerStartError, match="scratch-directory"):
        costate.local(arguments=[f"--scratch-directory={tmp_path / 'absent'}"])


def test_methods_are_compared_by_times_too(client, sir, loss):
    def check(**more):
        return client.check_gradient(
            sir, t=(0, 14), loss=loss, methods=["forward", "gauss"], **more, **TIGHT
        )

    plain = check()
    assert plain["gauss"].time_gradient is None
    assert "by times" not in str(plain)
    both = check(time_gradient=True)
    assert both["gauss"].time_gradient.shape == DAYS.shape
    assert 0 < both["gauss"].time_relative_difference < 1e-4
    assert both["forward"].differences == (0, 0)
    assert both.largest_difference >= both["gauss"].time_relative_difference
    assert "by times" in str(both)
