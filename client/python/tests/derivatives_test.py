import costate
import numpy as np
import pytest
from witness import central_difference
from witness import sir as sir_states

T = np.array([1.0, 4.0, 9.0, 14.0])
TIGHT = {"rtol": 1e-10, "atol": 1e-10}


def test_sensitivities_against_differences_of_scipy(client, sir):
    s = client.sensitivities(sir, t=(0, 14), save_at=T, wrt=["b", "k", "i"], **TIGHT)
    assert s["i"].shape == (4, 3)
    assert s["i", "b"].shape == (4,)
    assert s.state_matrix.shape == (4, 3, 3)
    np.testing.assert_allclose(s.solution.y, sir_states(T), rtol=1e-7, atol=1e-7)
    for name, at in [("b", 1.66), ("k", 0.44), ("i", 1.0)]:
        key = {"i": "i0"}.get(name, name)
        expected = central_difference(lambda x, key=key: sir_states(T, **{key: x}), at)
        for column, state in enumerate(["s", "i", "r"]):
            np.testing.assert_allclose(
                s[state, name], expected[:, column], rtol=1e-5, atol=1e-4 * np.max(np.abs(expected))
            )
    np.testing.assert_array_equal(s["in_bed", "b"], s["i", "b"])
    assert "in_bed" in repr(s)


def test_sensitivities_of_a_linear_system_in_closed_form(client):
    model = costate.Model("param k[2] = [0.5, 2]\nstate y[2] = [3, 1]\ny' = -k*y\noutput p = y^2")
    t = np.linspace(0, 2, 5)
    s = client.sensitivities(model, t=(0, 2), save_at=t, wrt=["k", "y"], **TIGHT)
    decay = np.exp(-np.outer(t, [0.5, 2.0]))
    y = decay * [3, 1]
    assert s["y", "k"].shape == (5, 2, 2)
    np.testing.assert_allclose(s["y", "k"], -np.einsum("k,ki,ij->kij", t, y, np.eye(2)), atol=1e-8)
    np.testing.assert_allclose(s["y", "y"], np.einsum("ki,ij->kij", decay, np.eye(2)), atol=1e-8)
    np.testing.assert_allclose(s["p", "y[0]"][:, 0], 2 * y[:, 0] * decay[:, 0], atol=1e-7)
    assert s["y[1]", "k[1]"].shape == (5,)


def test_vjp_and_jvp_are_the_matrix_from_both_sides(client, sir):
    wrt = ["b", "k", "i"]
    s = client.sensitivities(sir, t=(0, 14), save_at=T, wrt=wrt, **TIGHT)
    rng = np.random.default_rng(4)
    weights = [{name: rng.standard_normal(4) for name in "sir"} for _ in range(3)]
    v = client.vjp(
        sir,
        t=(0, 14),
        cotangents=[costate.Linear(t=T, states=w) for w in weights],
        wrt=wrt,
        **TIGHT,
    )
    assert v.gradients.shape == (3, 3)
    for row, w in enumerate(weights):
        expected = sum(w[name] @ s[name] for name in "sir")
        np.testing.assert_allclose(v.gradients[row], expected, rtol=1e-5)
        value = sum(w[name] @ s.solution[name] for name in "sir")
        assert v.values[row] == pytest.approx(value, rel=1e-7)
    np.testing.assert_array_equal(v["b"], v.gradients[:, 0])

    directions = rng.standard_normal((5, 3))
    tangents = [dict(zip(wrt, row)) for row in directions]
    j = client.jvp(sir, t=(0, 14), save_at=T, tangents=tangents, **TIGHT)
    assert j["i"].shape == (5, 4)
    expected = np.einsum("knq,vq->vkn", s.state_matrix, directions)
    scale = np.max(np.abs(expected))
    np.testing.assert_allclose(j.state_tangents, expected, rtol=1e-5, atol=1e-7 * scale)
    np.testing.assert_array_equal(j["in_bed"], j["i"])
    np.testing.assert_allclose(j.solution.y, s.solution.y, rtol=1e-7)


def test_tangents_may_leave_names_out(client, sir):
    j = client.jvp(sir, t=(0, 5), tangents=[{"b": 1.0}, {"i": 1.0}])
    assert j.wrt == ("b", "i")
    assert len(j) == 2
    one = client.jvp(sir, t=(0, 5), tangents={"i": 1.0})
    np.testing.assert_allclose(one["i"][0], j["i"][1], rtol=1e-4)


def test_a_gradient_is_a_vjp(client, sir):
    terminal = costate.Terminal(states={"i": 2.0}, outputs={"in_bed": 1.0})
    v = client.vjp(sir, t=(0, 6), cotangents=terminal, wrt=["b", "t1"], **TIGHT)
    g = client.gradient(sir, t=(0, 6), loss=terminal, wrt=["b", "t1"], **TIGHT)
    assert v.values[0] == pytest.approx(g.value, rel=1e-9)
    np.testing.assert_allclose(v.gradients[0], g.vector, rtol=1e-7)


def test_early_ends(client, sir):
    s = client.sensitivities(sir, t=(0, 14), save_at=T, max_steps=3)
    assert s.status.reason == "max_steps"
    assert np.all(np.isnan(s["i"][-1]))
    v = client.vjp(sir, t=(0, 14), cotangents=costate.Terminal(states={"i": 1}), max_steps=3)
    assert not v.success
    assert np.all(np.isnan(v.gradients))


def test_requests_that_make_no_sense(client, sir):
    with pytest.raises(costate.InvalidRequest, match="'q'"):
        client.jvp(sir, t=(0, 1), tangents=[{"q": 1.0}])
    with pytest.raises(costate.InvalidRequest, match="at least one"):
        client.jvp(sir, t=(0, 1), tangents=[{}])
    with pytest.raises(costate.InvalidRequest, match="'q'"):
        client.vjp(sir, t=(0, 1), cotangents=[costate.Terminal(states={"q": 1.0})])
    with pytest.raises(costate.InvalidRequest, match="cotangents"):
        client.vjp(sir, t=(0, 1), cotangents=[])
    with pytest.raises(costate.InvalidRequest):
        client.vjp(
            sir,
            t=(0, 1),
            cotangents=costate.LeastSquares(output="in_bed", t=[1], values=[1]),
        )
    with pytest.raises(costate.InvalidRequest):
        client.sensitivities(sir, t=(0, 1), params={"b": [1.0, 2.0]})
    with pytest.raises(TypeError, match="loss"):
        client.vjp(sir, t=(0, 1), cotangents=[{"i": 1.0}])
