import asyncio
import datetime
import threading
import time

import costate
import grpc
import numpy as np
import pytest
from costate import _rpc
from fake_server import fail

DAYS = np.arange(1.0, 15.0)
COUNTS = np.array([3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4], dtype=float)
QUESTION = {"t": (0, 14), "wrt": ["b", "k", "i"]}


def squares(scale=1.0):
    return costate.LeastSquares(output="in_bed", t=DAYS, values=scale * COUNTS, sigma=20.0)


def losses():
    weights = np.sin(np.arange(len(DAYS)))
    return [
        squares(),
        squares(0.5) + costate.Terminal(states={"r": 2.0}),
        costate.Linear(t=DAYS, outputs={"in_bed": weights}),
        costate.Expression("sum(log(in_bed)^2)", t=DAYS),
    ]


@pytest.fixture
def kept(client, sir):
    with client.keep(sir, save_at=DAYS, gradient_method="backprop", **QUESTION) as kept:
        yield kept


def in_one_call(client, model, loss, **more):
    arguments = {**QUESTION, "gradient_method": "backprop", "report": False, **more}
    return client.gradient(model, loss=loss, **arguments)


def same(later, one):
    assert later.value == one.value
    assert later.vector.tobytes() == one.vector.tobytes()
    assert later.wrt == one.wrt
    assert later.method == one.method


def test_one_solve_for_many_losses(client, sir, kept):
    assert kept.kept
    for _ in range(2):
        for loss in losses():
            g = kept.gradient(loss)
            same(g, in_one_call(client, sir, loss))
            assert g.report is None
    assert kept.solution.y.tobytes() == client.solve(sir, t=(0, 14), save_at=DAYS).y.tobytes()
    assert kept.wrt == ("b", "k", "i")
    assert kept.method == "backprop"
    assert kept.stored_bytes > 14 * 4 * 8


@pytest.mark.parametrize("method", ["forward", "checkpointed", "gauss", "auto"])
def test_methods(client, sir, method):
    with client.keep(sir, save_at=DAYS, gradient_method=method, **QUESTION) as kept:
        for loss in losses():
            same(kept.gradient(loss), in_one_call(client, sir, loss, gradient_method=method))
        assert kept.method == "forward" if method == "auto" else method
        assert bool(kept.method_reason) == (method == "auto")


def test_cotangents(client, sir, kept):
    cotangents = [losses()[2], costate.Linear(t=DAYS, states={"s": np.ones(14)})]
    later = kept.vjp(cotangents)
    one = client.vjp(sir, cotangents=cotangents, gradient_method="backprop", **QUESTION)
    assert later.gradients.tobytes() == one.gradients.tobytes()
    assert later.values.tobytes() == one.values.tobytes()
    assert kept.vjp(cotangents[0]).gradients.tobytes() == one.gradients[:1].tobytes()


def test_values_and_times_come_along(client, sir):
    with client.keep(
        sir, t=(0, 14), save_at=DAYS, gradient_method="backprop", time_gradient=True
    ) as kept:
        g = kept.gradient(squares(), want_saved=True)
        one = client.gradient(
            sir, t=(0, 14), loss=squares(), gradient_method="backprop", time_gradient=True
        )
        assert g.time_gradient.tobytes() == one.time_gradient.tobytes()
        assert g.saved["in_bed"].tobytes() == kept.solution["in_bed"].tobytes()
        # A loss may look at some of the times; values and derivatives are of all.
        few = costate.LeastSquares(output="in_bed", t=DAYS[:3], values=COUNTS[:3])
        g = kept.gradient(few, want_saved=True)
        assert g.saved.t.tobytes() == DAYS.tobytes()
        assert np.all(g.time_gradient[3:] == 0)
        assert np.all(g.time_gradient[:3] != 0)


def test_batches(client, sir):
    b = np.linspace(1.2, 2.0, 9)
    arguments = {**QUESTION, "params": {"b": b}, "gradient_method": "backprop"}
    with client.keep(sir, save_at=DAYS, **arguments) as kept:
        g = kept.gradient(squares())
        assert g.vector.shape == (9, 3)
        one = client.gradient(sir, loss=squares(), report=False, **arguments)
        assert g.vector.tobytes() == one.vector.tobytes()
        with pytest.raises(costate.InvalidRequest, match="one trajectory"):
            kept.vjp(losses()[2])


def test_the_end_alone(client, sir):
    loss = costate.Terminal(states={"r": 1.0})
    with client.keep(sir, **QUESTION) as kept:
        same(kept.gradient(loss), in_one_call(client, sir, loss, gradient_method="auto"))
        with pytest.raises(costate.InvalidRequest, match="saved its end alone"):
            kept.gradient(squares())


def test_solves_again_when_its_time_is_over(client, sir):
    kept = client.keep(sir, save_at=DAYS, gradient_method="backprop", lifetime=0.05, **QUESTION)
    before = kept.expires
    assert before - datetime.datetime.now(datetime.timezone.utc) < datetime.timedelta(seconds=1)
    time.sleep(0.3)
    for loss in losses():
        same(kept.gradient(loss), in_one_call(client, sir, loss))
        time.sleep(0.1)
    assert kept.expires > before


def test_goes_on_after_release(client, sir, kept):
    loss, cotangents = losses()[1], [losses()[2], losses()[2] + costate.Terminal(states={"s": 1})]
    values = kept.vjp(cotangents).gradients
    first = kept.gradient(loss, want_saved=True)
    kept.release()
    kept.release()
    assert not kept.kept
    assert kept.expires is None
    assert "released" in repr(kept)
    again = kept.gradient(loss, want_saved=True)
    same(again, first)
    assert again.saved.y.tobytes() == first.saved.y.tobytes()
    assert again.gradient_options == first.gradient_options
    assert kept.vjp(cotangents).gradients.tobytes() == values.tobytes()
    assert not kept.kept


def test_survives_a_restarted_server(sir):
    with costate.local() as first:
        address = first.address
        kept = first.keep(sir, save_at=DAYS, gradient_method="backprop", **QUESTION)
        expected = kept.gradient(squares())
        first.server.stop()
        with costate.local(arguments=[f"--address={address}"]) as second:
            assert second.address == address
            same(kept.gradient(squares()), expected)
            assert kept.kept


def test_without_room_every_call_solves(client, sir):
    with costate.local(arguments=["--max-kept-bytes=0"]) as small:
        assert small.server_info().limits["max_kept_bytes"] == 0
        with small.keep(sir, save_at=DAYS, gradient_method="backprop", **QUESTION) as kept:
            assert not kept.kept
            assert kept.stored_bytes == 0
            assert "--max-kept-bytes" in kept.not_kept_reason
            assert kept.not_kept_reason in repr(kept)
            assert kept.solution.success
            for loss in losses():
                same(kept.gradient(loss), in_one_call(client, sir, loss))


def test_solves_again_once(fake, fake_client, sir):
    """A server that loses every kept solve at once is asked to solve in one call."""
    keeps = []

    def keep(request, context):
        keeps.append(request)
        response = _rpc.KEEP_SOLVE.response_class(kept_solve=f"solves/{len(keeps):032x}")
        response.solution.terminations.add(reason=1)
        response.solution.row_start.extend([0, 2])
        response.solution.times.values.extend([1, 2])
        response.solution.states.values.extend([0, 0])
        response.solution.state_layout.add(name="s")
        response.gradient_options.method = 2
        return response

    def gradient(request, context):
        if request.kept_solve:
            fail(context, grpc.StatusCode.NOT_FOUND, "no such kept solve")
        response = _rpc.COMPUTE_GRADIENT.response_class()
        response.loss.values.append(1.0)
        response.gradient.values.append(2.0)
        response.wrt_layout.add(name="b")
        response.gradient_options.method = 2
        response.terminations.add(reason=1)
        response.stats.add()
        return response

    fake.answers[_rpc.KEEP_SOLVE] = keep
    fake.answers[_rpc.COMPUTE_GRADIENT] = gradient
    kept = fake_client.keep(sir, t=(0, 2), save_at=[1, 2], wrt="b", gradient_method="backprop")
    loss = costate.Expression("sum(in_bed)", t=[2])
    assert kept.gradient(loss)["b"] == 2
    assert len(keeps) == 2
    last = fake.requests[-1]
    assert not last.kept_solve
    assert list(last.simulation.t1) == [2]
    assert not last.simulation.options.HasField("save")
    assert list(last.wrt) == ["b"]
    assert [term.WhichOneof("term") for term in last.loss.terms] == ["expression", "linear"]
    assert not kept.kept


def test_failures_of_its_own_pass_through(client, sir, kept):
    with pytest.raises(costate.InvalidRequest, match="nearest is 4") as caught:
        kept.gradient(costate.LeastSquares(output="in_bed", t=[4.25], values=[1.0]))
    assert caught.value.violations[0].field == "loss.terms[0].times[0]"
    with pytest.raises(costate.InvalidRequest, match="solve of its own"):
        kept.gradient(costate.Integral("i^2"))
    with pytest.raises(TypeError, match="expected a loss"):
        kept.gradient("in_bed")
    assert kept.kept
    with pytest.raises(costate.InvalidRequest, match="nothing to keep"):
        client.keep(sir, gradient_method="finite_difference", **QUESTION)
    with pytest.raises(costate.InvalidRequest, match="lifetime"):
        client.keep(sir, lifetime=-1, **QUESTION)
    with pytest.raises(costate.InvalidRequest, match="at most 1h"):
        client.keep(sir, lifetime=7200, **QUESTION)
    with pytest.raises(TypeError, match="gradient_metod"):
        client.keep(sir, gradient_metod="gauss", **QUESTION)


def test_a_solve_that_ended_early(client, sir):
    with client.keep(sir, save_at=DAYS, max_steps=3, **QUESTION) as kept:
        assert not kept.solution.success
        g = kept.gradient(squares())
        assert np.isnan(g.value)
        assert np.all(np.isnan(g.vector))
        assert g.status.reason == "max_steps"


def test_several_threads(client, sir, kept):
    expected = [in_one_call(client, sir, loss).vector.tobytes() for loss in losses()]
    found = [None] * len(expected)

    def work(index):
        for _ in range(5):
            found[index] = kept.gradient(losses()[index]).vector.tobytes()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(expected))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_asyncio(client, sir):
    async def main():
        async with costate.aio.connect(client.address) as twin:
            async with await twin.keep(
                sir, save_at=DAYS, gradient_method="backprop", **QUESTION
            ) as kept:
                assert isinstance(kept, costate.aio.KeptSolve)
                found = await asyncio.gather(*(kept.gradient(loss) for loss in losses()))
                v = await kept.vjp(losses()[2])
            assert not kept.kept
            return found, v, await kept.gradient(losses()[0])

    found, v, after = asyncio.run(main())
    for g, loss in zip(found, losses()):
        same(g, in_one_call(client, sir, loss))
    assert v.gradients[0].tobytes() == found[2].vector.tobytes()
    same(after, found[0])


def test_shows_itself(kept):
    text = repr(kept)
    assert text.startswith("<costate.KeptSolve")
    assert "backprop by b, k, i" in text
    assert "until" in text
    assert "<table>" in kept._repr_html_()
