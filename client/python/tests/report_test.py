import math

import costate
import numpy as np
import pytest
from costate._arrays import Layout, Slot, to_proto
from costate._proto import message
from costate._report import GradientReport, reports_line

DAYS = np.arange(1.0, 15.0)
COUNTS = np.array([3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4], dtype=float)
FIGURES = [name for name, kind in GradientReport.__annotations__.items() if kind == "float"]


@pytest.fixture(scope="module")
def loss():
    return costate.LeastSquares(output="in_bed", t=DAYS, values=COUNTS, sigma=10.0)


def unknown_figures(**known):
    return {**dict.fromkeys(FIGURES, math.nan), **known}


def made(layout, gradient, **fields):
    return GradientReport(message("GradientReport")(**fields), layout, np.asarray(gradient))


TENSORS = Layout([Slot("b", (), 0), Slot("W", (2, 2), 1)])


def test_everything_by_name():
    report = made(
        TENSORS,
        [1.0, 2, 3, 4, 5],
        **unknown_figures(scaled_norm=2.0, scaled_error=0.5, cosine_uncertainty=0.25),
        verdict=8,
        summary="so <much>",
        advice=["do this", "then that"],
        abs_error=to_proto(np.array([0.1, 0.2, 0.3, 0.4, 0.5])),
        digits=to_proto(np.array([1.0, 1, 1, 1, 1])),
        checks=[{"name": "noise_floor", "cost_in_solves": 2.5}, {"name": "growth"}],
        error_measured=True,
    )
    assert report.verdict == "rough"
    assert not report.good
    assert report.error["W"].tolist() == [[0.2, 0.3], [0.4, 0.5]]
    assert report.error["W[1,0]"] == 0.4
    assert report.digits["b"] == 1.0
    assert np.isnan(report.noise_floor["W"]).all()  # not computed
    assert report.cost_in_solves == 2.5
    assert report.second_method == ""
    with pytest.raises(costate.UnknownName, match="did you mean"):
        report.error["bb"]
    text = str(report)
    assert text.startswith("Gradient report: ROUGH\n  so <much>")
    assert "W[1,1]" in text
    assert "2 +- 0.5 (measured)" in text
    assert "1. do this" in text
    assert "noise_floor 2.5, growth 0; 2.5 in all" in text
    assert max(map(len, text.splitlines())) <= 100
    html = report._repr_html_()
    assert "so &lt;much&gt;" in html
    assert "W[1,1]" in html
    assert repr(report) == "<costate.GradientReport ROUGH: so <much>>"


def test_figures_that_are_unknown_are_left_out():
    report = made(TENSORS, np.ones(5), **unknown_figures(), verdict=10)
    text = str(report)
    assert "nan" not in text
    assert "nan" not in report._repr_html_()
    assert text.splitlines()[0] == "Gradient report: UNKNOWN"
    assert "growth" not in text
    assert repr(report) == "<costate.GradientReport UNKNOWN>"


def test_every_figure_has_its_line():
    values = {name: 0.125 * (index + 1) for index, name in enumerate(FIGURES)}
    report = made(
        TENSORS,
        np.ones(5),
        **values,
        refinement_difference=to_proto(np.full(5, 1e-3)),
        second_method_difference=to_proto(np.full(5, 1e-4)),
        second_method=8,
    )
    text = str(report)
    for line in (
        "in parameter units",
        "loss",
        "data",
        "tangents",
        "stiffness",
        "against a tenth of the tolerance: at most 0.001",
        "against gauss: at most 0.0001",
        "along a direction",
        "growth",
        "transient",
        "reconstruction",
        "linear range",
    ):
        assert line in text


def test_of_many_elements_the_worst_are_shown():
    layout = Layout([Slot("w", (100,), 0)])
    digits = np.linspace(1, 9, 100)[::-1]
    report = made(layout, np.ones(100), **unknown_figures(), digits=to_proto(digits))
    text = str(report)
    assert "12 of 100 elements, those with the fewest digits" in text
    assert "w[99]" in text
    assert "w[0]" not in text


def test_many_reports_are_counted():
    good = made(TENSORS, np.ones(5), **unknown_figures(), verdict=9)
    bad = made(TENSORS, np.ones(5), **unknown_figures(), verdict=5)
    assert reports_line([good, bad, good]) == "2 GOOD, 1 INDISTINGUISHABLE FROM ZERO"


def test_a_batch_shows_the_worst_first():
    good, rough, bad, unknown = (
        made(TENSORS, np.ones(5), **unknown_figures(), verdict=verdict, summary=summary)
        for verdict, summary in ((9, "fine"), (8, "so"), (5, "none"), (10, "<who knows>"))
    )
    report = costate.BatchReport([good, None, rough, None, bad, unknown])
    assert report.trajectories == (4, 2, 5, 0)
    assert report.worst is bad
    assert report.verdict == "indistinguishable_from_zero"
    assert not report.good
    assert dict(report)[2] is rough
    assert len(report) == 4
    text = str(report)
    assert "(4 of 6 trajectories reported on)" in text.splitlines()[0]
    assert text.index("of trajectory 4") < text.index("  2: ROUGH: so") < text.index("  0: GOOD")
    assert "&lt;who knows&gt;" in report._repr_html_()
    assert costate.BatchReport([good, None]).good


def test_of_two_alike_the_more_uncertain_is_worse():
    two = [
        made(TENSORS, np.ones(5), **unknown_figures(cosine_uncertainty=x), verdict=8)
        for x in (0.1, 0.3)
    ]
    assert costate.BatchReport(two).trajectories == (1, 0)


def test_a_headline_names_its_verdict_once():
    def headline(verdict, summary):
        return made(
            TENSORS, np.ones(5), **unknown_figures(), verdict=verdict, summary=summary
        ).headline()

    assert headline(9, "good to 5 digits: so") == "GOOD to 5 digits: so"
    assert headline(5, "NOT DISTINGUISHABLE FROM ZERO: so") == "NOT DISTINGUISHABLE FROM ZERO: so"
    assert headline(1, "non-finite: so") == "FAILED: non-finite: so"


def test_a_verdict_of_a_newer_server():
    assert made(TENSORS, np.ones(5), **unknown_figures(), verdict=77).verdict == "77"


# With a server.


def test_on_by_default(client, sir, loss):
    g = client.gradient(sir, t=(0, 14), loss=loss, wrt=["b", "k"])
    assert g.report.good
    assert "GOOD" in repr(g)
    assert g.report.loss == g.value
    assert {"loss_mismatch", "noise_floor"} <= {check.name for check in g.report.checks}
    assert 0 < g.report.cost_in_solves < 20
    assert client.gradient(sir, t=(0, 14), loss=loss, report=False).report is None


@pytest.mark.parametrize("method", ["forward", "backprop", "gauss"])
def test_the_error_covers_the_true_one(client, sir, loss, method):
    def call(**more):
        return client.gradient(
            sir, t=(0, 14), loss=loss, wrt=["b", "k"], gradient_method=method, **more
        )

    truth = call(rtol=1e-12, atol=1e-12, report=False)
    g = call(rtol=1e-5, report=costate.Report(tolerance_refinement=True))
    assert g.report.error_measured
    scaled = np.array([1.66, 0.44]) * (g.vector - truth.vector)
    assert np.linalg.norm(scaled) <= 3 * g.report.scaled_error
    assert g.report.scaled_error <= 100 * np.linalg.norm(scaled)


def test_every_check(client, sir, loss):
    g = client.gradient(sir, t=(0, 14), loss=loss, wrt=["b", "i"], report=costate.Report.all())
    report = g.report
    assert np.isfinite(report.refinement_difference["b"])
    assert np.isfinite(report.second_method_difference["i"])
    assert report.second_method
    assert report.directional_derivative == pytest.approx(report.directional_difference, rel=1e-3)
    assert report.growth > 0
    assert report.linear_range > 0
    assert "in all" in str(report)


def test_of_a_batch_every_so_many(client, sir, loss):
    rates = np.linspace(1.2, 2, 19)

    def call(report, **more):
        return client.gradient(
            sir, t=(0, 14), loss=loss, wrt=["b"], params={"b": rates}, report=report, **more
        )

    plain = call(False)
    assert plain.report is None
    some = call(True)
    assert [b for b, report in enumerate(some.reports) if report] == [0, 16]
    assert some.reports[16].loss == some.value[16]
    assert "2 GOOD (2 of 19 trajectories reported on)" in repr(some)
    assert some.report.good
    assert np.array_equal(some.vector, plain.vector)
    most = call(costate.Report(every=2), gradient_method="backprop")
    assert sorted(most.report.trajectories) == list(range(0, 19, 2))
    assert len(call(costate.Report(every=1)).report) == 19


def test_an_early_end_is_a_failed_gradient(client, sir, loss):
    g = client.gradient(sir, t=(0, 14), loss=loss, max_steps=3)
    assert g.report.verdict == "failed"
    assert g.report.advice
    assert "FAILED" in repr(g)
