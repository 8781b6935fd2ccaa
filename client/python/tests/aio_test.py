import asyncio
import inspect

import costate
import numpy as np
import pytest

DAYS = np.arange(1.0, 15.0)
COUNTS = np.array([3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4], dtype=float)


def run(client, work):
    """Runs a coroutine function with an asyncio client of the same server."""

    async def main():
        async with costate.aio.connect(client.address) as twin:
            return await work(twin)

    return asyncio.run(main())


def test_the_same_results(client, sir):
    loss = costate.LeastSquares(output="in_bed", t=DAYS, values=COUNTS)

    async def work(twin):
        return await asyncio.gather(
            twin.solve(sir, t=(0, 14), save_at=DAYS),
            twin.gradient(sir, t=(0, 14), loss=loss, wrt=["b", "i"]),
            twin.sensitivities(sir, t=(0, 14), save_at=DAYS),
            twin.vjp(sir, t=(0, 14), cotangents=costate.Terminal(states={"i": 1})),
            twin.jvp(sir, t=(0, 14), tangents={"b": 1}),
            twin.server_info(),
        )

    sol, g, s, v, j, info = run(client, work)
    assert sol.y.tobytes() == client.solve(sir, t=(0, 14), save_at=DAYS).y.tobytes()
    expected = client.gradient(sir, t=(0, 14), loss=loss, wrt=["b", "i"])
    assert g.vector.tobytes() == expected.vector.tobytes()
    expected = client.sensitivities(sir, t=(0, 14), save_at=DAYS)
    assert s.state_matrix.tobytes() == expected.state_matrix.tobytes()
    expected = client.vjp(sir, t=(0, 14), cotangents=costate.Terminal(states={"i": 1}))
    assert v.gradients.tobytes() == expected.gradients.tobytes()
    expected = client.jvp(sir, t=(0, 14), tangents={"b": 1})
    assert j.state_tangents.tobytes() == expected.state_tangents.tobytes()
    assert info == client.server_info()


def test_streams(client, sir):
    t = np.linspace(0, 50, 1001)

    async def work(twin):
        async with await twin.stream_solve(sir, t=(0, 50), save_at=t, rows_per_chunk=50) as stream:
            return [chunk async for chunk in stream], stream

    chunks, stream = run(client, work)
    assert np.concatenate([chunk.t for chunk in chunks]).tobytes() == t.tobytes()
    assert stream.status.t == 50


def test_models_and_errors(client, sir):
    async def work(twin):
        info = await twin.create_model(sir)
        assert info.name in [model.name for model in await twin.list_models()]
        assert list((await twin.describe(sir)).states) == ["s", "i", "r"]
        with pytest.raises(costate.ModelError, match=r"\^"):
            await twin.solve(costate.Model("state y = 1\ny' = q"), t=(0, 1))
        with pytest.raises(costate.InvalidRequest):
            await twin.stream_solve(sir, t=(0, 1), params={"q": 1})
        with pytest.raises(TypeError):
            await twin.solve(sir, rtoll=1)
        await twin.delete_model(info)

    run(client, work)


def test_a_cancelled_task_cancels_its_call(client):
    model = costate.Model("state y = 1\ny' = sin(1000000*t)*y")

    async def work(twin):
        task = asyncio.ensure_future(twin.solve(model, t=(0, 1e6), max_steps=10**9, rtol=1e-10))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(client, work)


def test_local():
    async def main():
        async with costate.aio.local() as client:
            assert (await client.server_info()).version
            server = client.server
        assert not server.running
        client = await costate.aio.local()
        assert client.server.running
        await client.close()
        assert not client.server.running

    asyncio.run(main())


def test_jobs_of_both_clients_have_the_same_calls():
    for name in vars(costate.Job):
        mine, twin = getattr(costate.Job, name), getattr(costate.aio.Job, name)
        if name.startswith("_") or not callable(mine):
            continue
        assert list(inspect.signature(mine).parameters) == list(inspect.signature(twin).parameters)
        assert f"As `costate.Job.{name}`" in twin.__doc__


def test_both_clients_have_the_same_calls():
    def public(kind):
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(costate.Client) == public(costate.aio.Client)
    assert public(costate.Submit) == public(costate.aio.Submit)
    calls = [(costate.Client, costate.aio.Client, name) for name in public(costate.Client)]
    calls += [(costate.Submit, costate.aio.Submit, name) for name in public(costate.Submit)]
    for kind, twin_kind, name in calls:
        if name in ("close", "submit"):
            continue
        mine, twin = getattr(kind, name), getattr(twin_kind, name)
        assert inspect.signature(mine).parameters == inspect.signature(twin).parameters
        assert mine.__doc__ == twin.__doc__
        assert inspect.iscoroutinefunction(twin)
