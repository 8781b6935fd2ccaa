"""Conversion of answers, on answers that no good server can be asked to make at will."""

import pickle

import numpy as np
import pytest
from costate import Gradient, UnknownName, _proto
from costate._arrays import to_proto
from costate._solution import solution_from_proto

LAYOUT = _proto.message("TensorLayout")
REACHED_END, NON_FINITE = 1, 4


def response(lengths, *, batched=True, reasons=None, times=None):
    """Two states [a, y[0], y[1]] whose values are 10 * row + column, and no outputs."""
    rows = sum(lengths)
    values = 10.0 * np.arange(rows)[:, None] + np.arange(3)
    if times is None:
        times = np.concatenate([np.arange(n, dtype=float) for n in lengths] or [np.empty(0)])
    termination = _proto.message("Termination")
    reasons = reasons or [REACHED_END] * len(lengths)
    return _proto.message("SolveResponse")(
        row_start=np.concatenate([[0], np.cumsum(lengths)]).astype(int),
        times=to_proto(times),
        states=to_proto(values),
        state_layout=[LAYOUT(name="a"), LAYOUT(name="y", shape=[2], offset=1)],
        terminations=[termination(reason=r, t=2.0, step=5, state="y[1]") for r in reasons],
        stats=[_proto.message("SolveStats")(accepted_steps=b + 1) for b in range(len(lengths))],
        batched=batched,
    )


def test_one_trajectory():
    sol = solution_from_proto(response([4], batched=False))
    assert sol.t.shape == (4,)
    assert sol["a"].shape == (4,)
    assert sol["y"].shape == (4, 2)
    np.testing.assert_array_equal(sol["y[1]"], [2, 12, 22, 32])
    np.testing.assert_array_equal(sol.final["y"], [31, 32])
    assert sol.y.shape == (4, 3)
    assert sol.grid is None
    assert len(sol.outputs) == 0


def test_equal_lengths_share_their_times():
    sol = solution_from_proto(response([2, 2, 2]))
    assert sol.t.shape == (2,)
    assert sol["y"].shape == (3, 2, 2)
    np.testing.assert_array_equal(sol["a"], [[0, 10], [20, 30], [40, 50]])
    np.testing.assert_array_equal(sol.final["a"], [10, 30, 50])
    assert sol.stats.accepted_steps == 6


def test_own_times_keep_their_axis():
    sol = solution_from_proto(response([1, 1], times=np.array([1.0, 2.0])))
    np.testing.assert_array_equal(sol.t, [[1], [2]])


def test_ragged_rows_are_padded_with_nan():
    sol = solution_from_proto(response([1, 3, 0]))
    assert sol.t.shape == (3, 3)
    np.testing.assert_array_equal(sol["a"], [[0, np.nan, np.nan], [10, 20, 30], [np.nan] * 3])
    np.testing.assert_array_equal(sol.lengths, [1, 3, 0])
    np.testing.assert_array_equal(sol.final["a"], [0, 30, np.nan])
    one = sol.trajectory(1)
    assert not one.batched
    np.testing.assert_array_equal(one.t, [0, 1, 2])
    np.testing.assert_array_equal(one["a"], [10, 20, 30])
    assert one.stats.accepted_steps == 2
    assert len(sol.trajectory(-1).t) == 0
    with pytest.raises(IndexError):
        sol.trajectory(3)


def test_status_of_a_batch_is_the_first_that_failed():
    sol = solution_from_proto(response([2, 2, 2], reasons=[REACHED_END, NON_FINITE, NON_FINITE]))
    assert not sol.success
    assert sol.status.reason == "non_finite"
    assert sol.status.trajectory == 1
    assert [bool(status) for status in sol.statuses] == [True, False, False]
    assert "2 of 3 ended early; trajectory 1: non_finite at t = 2" in repr(sol)
    assert "(state y[1])" in str(sol.status)


def test_a_batch_of_one_is_a_batch():
    sol = solution_from_proto(response([2]))
    assert sol.batched
    assert sol["a"].shape == (1, 2)


def test_unknown_names_suggest_near_ones():
    sol = solution_from_proto(response([2]))
    with pytest.raises(UnknownName, match="there are a, y"):
        sol["nobody"]
    with pytest.raises(KeyError):
        sol["y[2]"]
    with pytest.raises(TypeError, match=r"sol\.trajectory"):
        sol[0]
    assert "y[1]" in sol
    assert "z" not in sol


def test_a_reason_from_a_newer_server_is_shown_as_it_is():
    assert solution_from_proto(response([1], reasons=[77])).status.reason == "77"


def test_reprs_escape_and_pickle():
    sol = solution_from_proto(response([2]))
    assert sol._repr_html_().startswith("<table>")
    copy = pickle.loads(pickle.dumps(sol))
    np.testing.assert_array_equal(copy["y"], sol["y"])


def gradient_response(batched, trajectories):
    return _proto.message("ComputeGradientResponse")(
        loss=to_proto(np.arange(1.0, trajectories + 1)),
        gradient=to_proto(np.arange(trajectories * 3.0).reshape(trajectories, 3)),
        wrt_layout=[LAYOUT(name="b"), LAYOUT(name="W", shape=[1, 2], offset=1)],
        gradient_options={"method": 2},
        method_reason="few",
        terminations=[{"reason": 1}] * trajectories,
        stats=[{"vjp_evaluations": 3, "peak_stored_bytes": 100 + b} for b in range(trajectories)],
        batched=batched,
    )


def test_gradient_shapes():
    g = Gradient(gradient_response(False, 1))
    assert g.value == 1.0
    assert g["b"].shape == ()
    np.testing.assert_array_equal(g["W"], [[1, 2]])
    np.testing.assert_array_equal(g["W[0,1]"], 2)
    np.testing.assert_array_equal(g.vector, [0, 1, 2])
    assert (g.method, g.method_reason, g.wrt) == ("backprop", "few", ("b", "W"))
    assert g.saved is None
    g = Gradient(gradient_response(True, 4))
    np.testing.assert_array_equal(g.value, [1, 2, 3, 4])
    assert g["W"].shape == (4, 1, 2)
    np.testing.assert_array_equal(g["b"], [0, 3, 6, 9])
    assert g.stats.vjp_evaluations == 12
    assert g.stats.peak_stored_bytes == 103
    assert "backprop (few)" in repr(g)
