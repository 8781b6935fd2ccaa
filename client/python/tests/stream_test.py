import costate
import numpy as np
import pytest

T = np.linspace(0, 50, 100_001)  # 4 MB: too much for one chunk


def test_chunks_are_the_rows_of_the_solve(client, sir):
    whole = client.solve(sir, t=(0, 50), save_at=T)
    with client.stream_solve(sir, t=(0, 50), save_at=T, rows_per_chunk=100) as stream:
        assert stream.num_trajectories == 1
        assert not stream.batched
        assert stream.options["save_at"].size == T.size
        with pytest.raises(RuntimeError, match="last chunk"):
            stream.status  # noqa: B018
        chunks = list(stream)
    assert len(chunks) > 1
    assert np.concatenate([chunk.t for chunk in chunks]).tobytes() == T.tobytes()
    for name in ("i", "in_bed"):
        rows = np.concatenate([chunk[name] for chunk in chunks])
        assert rows.tobytes() == whole[name].tobytes()
    assert stream.success
    assert stream.status.t == 50
    assert stream.stats == whole.stats
    assert stream.timing.engine > 0


def test_batches(client, sir):
    rates = np.linspace(1, 2, 10)
    whole = client.solve(sir, t=(0, 50), save_at="steps", params={"b": rates})
    stream = client.stream_solve(
        sir, t=(0, 50), save_at="steps", params={"b": rates}, return_grid=True
    )
    rows = {index: [] for index in range(10)}
    for chunk in stream:
        assert len(chunk) == len(chunk.t) > 0
        rows[chunk.trajectory].append(chunk["i"])
    for index in range(10):
        np.testing.assert_array_equal(np.concatenate(rows[index]), whole.trajectory(index)["i"])
    assert len(stream.statuses) == len(stream.grids) == 10


def test_errors_come_with_the_call(client, sir):
    with pytest.raises(costate.InvalidRequest):
        client.stream_solve(sir, t=(0, 1), params={"q": 1})


def test_early_ends_are_in_the_summary(client, sir):
    stream = client.stream_solve(sir, t=(0, 50), save_at="steps", max_steps=5)
    rows = sum(len(chunk) for chunk in stream)
    assert stream.status.reason == "max_steps"
    assert rows >= 5


def test_a_stream_may_be_left_early(client, sir):
    t = np.linspace(0, 50, 200_001)
    with client.stream_solve(sir, t=(0, 50), save_at=t) as stream:
        first = next(iter(stream))
        assert len(first) < len(t)
    assert client.solve(sir, t=(0, 1)).success


def test_cancelling_ends_the_iteration(client, sir):
    t = np.linspace(0, 50, 2_000_001)
    stream = client.stream_solve(sir, t=(0, 50), save_at=t, rows_per_chunk=100)
    with pytest.raises(costate.Cancelled):
        for _ in stream:
            stream.cancel()


def test_more_than_a_message_holds(client, sir):
    t = np.linspace(0, 50, 3_000_001)
    with pytest.raises(costate.LimitExceeded, match="stream the solve"):
        client.solve(sir, t=(0, 50), save_at=t)
    count = 0
    for chunk in client.stream_solve(sir, t=(0, 50), save_at=t):
        count += len(chunk)
    assert count == len(t)
