import costate
import numpy as np
import pytest
from costate import InvalidRequest, _proto
from costate._arrays import Layout, Slot, from_proto
from costate._options import fill_save, options_from_proto, simulation_to_proto, span_of

SOURCE = _proto.message("ModelSource")(text="state y\ny' = 1")


def options(**arguments):
    return simulation_to_proto(SOURCE, arguments).options


def test_nothing_given_leaves_everything_to_the_server():
    assert options() == _proto.message("SolveOptions")()


def test_spans():
    for given, start, end in [
        ((0, 5), [0], [5]),
        ([1, 2], [1], [2]),
        (np.array([1.0, 2.0]), [1], [2]),
        (7, [0], [7]),
        (None, [0], [3]),
        ((0, np.array([1.0, 2.0])), [0], [1, 2]),
        (([1.0, 2.0], 5), [1, 2], [5]),
    ]:
        t0, t1 = span_of(given, 3.0)
        np.testing.assert_array_equal(t0, start)
        np.testing.assert_array_equal(t1, end)
    for wrong in [(1, 2, 3), np.zeros(4), "ab"]:
        with pytest.raises(InvalidRequest):
            span_of(wrong, 3.0)


def test_adaptive_options():
    adaptive = options(
        rtol=1e-8,
        atol=[1e-9, 1e-10],
        controller=costate.Controller("pid", beta1=0.3, safety=0.8),
        initial_step=0.1,
        max_step=2,
    ).adaptive
    assert adaptive.rtol == 1e-8
    assert list(adaptive.atol) == [1e-9, 1e-10]
    assert adaptive.controller == _proto.enum("Controller")["CONTROLLER_PID"]
    assert (adaptive.beta1, adaptive.safety, adaptive.initial_step) == (0.3, 0.8, 0.1)
    assert adaptive.max_step == 2
    assert not adaptive.HasField("beta2")
    assert not adaptive.HasField("min_step")


def test_zero_is_not_unset():
    adaptive = options(rtol=0.0, atol=0.0).adaptive
    assert adaptive.HasField("rtol")
    assert list(adaptive.atol) == [0.0]


def test_tolerances_by_name():
    layout = Layout([Slot("a", (), 0), Slot("y", (2,), 1)])
    sent = simulation_to_proto(SOURCE, {"atol": {"y": 1e-3}}, states=layout).options
    assert list(sent.adaptive.atol) == [1e-9, 1e-3, 1e-3]


def test_fixed_steps_and_grids_exclude_tolerances():
    assert options(dt=0.1).fixed.step == 0.1
    np.testing.assert_array_equal(from_proto(options(grid=[0, 1, 2]).grid.times), [0, 1, 2])
    with pytest.raises(InvalidRequest, match="rtol: has no meaning together with dt"):
        options(dt=0.1, rtol=1e-3)
    with pytest.raises(InvalidRequest, match="either dt or grid"):
        options(dt=0.1, grid=[0, 1])


def test_limits():
    sent = options(max_steps=7, wall_budget=0.25, return_grid=True, lanes=1)
    assert (sent.max_steps, sent.return_grid, sent.lanes) == (7, True, 1)
    assert sent.wall_budget.ToNanoseconds() == 250_000_000
    assert options(max_steps=1e6).max_steps == 1_000_000
    wrong = {
        "max_steps": [0, 1.5, np.inf, np.nan, 1e30],
        "lanes": [0, 0.5, -1],
        "wall_budget": [0, np.nan, np.inf, 1e300],
    }
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(InvalidRequest, match=name):
                options(**{name: value})


@pytest.mark.parametrize(
    ("argument", "value", "hint"),
    [
        ("method", "tsit", "did you mean 'tsit5'"),
        ("controller", "pdi", "did you mean"),
    ],
)
def test_unknown_choices_suggest_near_ones(argument, value, hint):
    with pytest.raises(InvalidRequest, match=hint) as caught:
        options(**{argument: value})
    assert caught.value.field == argument


def test_save_at_forms():
    def save(value):
        message = _proto.message("SolveOptions")()
        fill_save(message, value)
        return message.save

    assert save(None).WhichOneof("what") is None
    assert save("end").end
    assert save("steps").every_steps == 1
    assert save(5).every_steps == 5
    assert save(np.int64(5)).every_steps == 5
    np.testing.assert_array_equal(from_proto(save([0.0, 1.0]).times.times), [0, 1])
    for wrong in ["start", 0, -1, 1.5, [], [[1.0]]]:
        with pytest.raises(InvalidRequest, match="save_at"):
            save(wrong)


def test_options_come_back_under_the_names_they_were_given():
    given = {
        "method": "dopri5",
        "rtol": 1e-7,
        "atol": 1e-8,
        "controller": "pi",
        "max_step": 0.5,
        "max_steps": 99,
        "return_grid": True,
        "wall_budget": 2.0,
    }
    sent = options(**given)
    fill_save(sent, "steps")
    assert options_from_proto(sent) == {**given, "save_at": "steps"}
