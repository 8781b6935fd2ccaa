import costate
import numpy as np
import pytest
from costate import Backward, Difference, InvalidRequest, Report
from costate._gradient_options import fill_report, gradient_options_from_proto, method_to_proto
from costate._proto import enum_of_message

LEVELS = enum_of_message("ReportOptions", "Level")


def test_what_is_asked_for_is_sent_and_read_back():
    arguments = {
        "gradient_method": "gauss",
        "tangent_control": "primal_only",
        "memory_budget": 64e6,
        "checkpoints": 10,
        "segments": 3,
        "checkpoint_every": 4,
        "backward": Backward(rtol=1e-7, method="dopri8", seminorm=True),
        "difference": Difference(step=1e-4, frozen_grid=True),
    }
    message = method_to_proto(arguments)
    assert message.memory_budget_bytes == 64_000_000
    assert message.backward.HasField("rtol")
    assert not message.backward.HasField("atol")
    assert gradient_options_from_proto(message) == arguments


def test_nothing_asked_for_is_nothing_sent():
    assert method_to_proto({}).ByteSize() == 0
    assert method_to_proto({"checkpoints": None, "gradient_method": None}).ByteSize() == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"gradient_method": "sideways"}, "sideways"),
        ({"gradient_method": "checkpoint"}, "did you mean 'checkpointed'"),
        ({"tangent_control": "some"}, "tangent_control"),
        ({"memory_budget": 0}, "memory_budget"),
        ({"memory_budget": 1.5}, "whole number of bytes"),
        ({"memory_budget": float("nan")}, "memory_budget"),
        ({"memory_budget": float("inf")}, "memory_budget"),
        ({"memory_budget": 1e30}, "memory_budget"),
        ({"memory_budget": "64e6"}, "memory_budget"),
        ({"checkpoints": 0}, "checkpoints"),
        ({"segments": -1}, "segments"),
        ({"checkpoint_every": 2.5}, "checkpoint_every"),
        ({"backward": Backward(rtol=0)}, "backward.rtol"),
        ({"backward": Backward(atol=float("nan"))}, "backward.atol"),
        ({"backward": Backward(method="gauss")}, "backward.method"),
        ({"difference": Difference(step=-1)}, "difference.step"),
        ({"difference": Difference(step="1")}, "difference.step"),
        ({"backward": Backward(rtol=float("inf"))}, "backward.rtol"),
    ],
)
def test_what_makes_no_sense(arguments, text):
    with pytest.raises(InvalidRequest, match=text):
        method_to_proto(arguments)


def test_types():
    with pytest.raises(TypeError, match=r"costate\.Backward"):
        method_to_proto({"backward": {"rtol": 1e-6}})
    with pytest.raises(TypeError, match=r"costate\.Difference"):
        method_to_proto({"difference": 1e-6})
    with pytest.raises(TypeError, match=r"costate\.Report"):
        fill_report(method_to_proto({}), "all")


def test_reports():
    def sent(report):
        options = method_to_proto({})
        fill_report(options, report)
        return options.report

    assert sent(True).level == LEVELS["LEVEL_BASIC"]
    assert sent(np.bool_(True)).level == LEVELS["LEVEL_BASIC"]
    assert sent(False).level == LEVELS["LEVEL_OFF"]
    some = sent(Report(growth=True))
    assert some.level == LEVELS["LEVEL_BASIC"]
    assert some.growth
    assert not some.second_method
    everything = sent(costate.Report.all())
    assert everything.tolerance_refinement
    assert everything.linear_range
    assert everything.every == 0
    assert sent(costate.Report.all(every=1)).every == 1
    assert sent(Report(every=4)).every == 4
    with pytest.raises(costate.InvalidRequest, match=r"report\.every"):
        sent(Report(every=0))
