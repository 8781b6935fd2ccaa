"""Regions whose shape is known, and eigenvalues of models whose Jacobian is."""

import asyncio
import math

import costate
import numpy as np
import pytest
from costate import _rpc
from costate._arrays import to_proto

STIFF = "param a = 1000\nstate x = 1\nstate y = 1\nx' = -a*x\ny' = -y + 0.1*x"


def test_region_of_euler(client):
    region = client.stability_region("euler", points=(31, 21))
    assert region.real_interval == (pytest.approx(-2), 0)
    assert region.imag_interval == (0, 0)
    assert region.area == pytest.approx(math.pi, rel=1e-3)
    (circle,) = region.boundary
    assert circle[0] == circle[-1]
    np.testing.assert_allclose(np.abs(circle + 1), 1, atol=1e-12)
    assert region.radius.shape == (21, 31)
    z = region.real + 1j * region.imag[:, None]
    np.testing.assert_allclose(region.radius, np.abs(1 + z), atol=1e-12)
    assert "euler" in repr(region)


def test_methods_that_can_be_taken_back(client):
    coupled = client.stability_region("rk4", coupling=0.8, raster=False)
    assert (coupled.coupling, coupled.eta, coupled.radius) == (0.8, None, None)
    assert coupled.real_interval[0] == pytest.approx(-0.223, abs=1e-3)
    assert coupled.label == "rk4, coupling 0.8"
    damped = client.stability_region("alf", eta=0.8, raster=False)
    assert damped.area == pytest.approx(math.pi / 4, rel=1e-3)  # an ellipse of 1/4 and 1
    for method in ("alf", "reversible_heun", "leapfrog_midpoint"):
        region = client.stability_region(method, raster=False)
        (segment,) = region.boundary
        np.testing.assert_allclose(segment[[0, -1]], [-1j, 1j], atol=1e-12)
        assert region.area == 0
        assert region.imag_interval[1] == pytest.approx(1)


def test_windows_and_order_stars(client):
    window = (-1.0, 2.0, 0.0, 2.5)
    region = client.stability_region("euler", window=window, points=50)
    assert region.window == window
    assert region.area == pytest.approx(math.pi / 4, rel=1e-3)
    star = client.stability_region("rk4", window=window, points=(40, 60), order_star=True)
    z = star.real + 1j * star.imag[:, None]
    growth = np.abs(1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24)
    np.testing.assert_allclose(star.radius, growth / np.exp(z.real), rtol=1e-9)
    assert star.order_star


def test_large_rasters_are_streamed(client):
    small = client.stability_region("bosh3", window=(-3, 1, -3, 3), points=(11, 7))
    large = client.stability_region("bosh3", window=(-3, 1, -3, 3), points=(1001, 1201))
    np.testing.assert_allclose(large.radius[::200, ::100], small.radius, rtol=1e-12)
    assert large.area == small.area


def test_rows_may_come_in_any_blocks(fake, fake_client):
    def answer(request, _):
        width, height = request.region.window.real_points, request.region.window.imag_points
        message = _rpc.STREAM_STABILITY_REGION.response_class
        for first in range(0, height, 300):
            rows = np.arange(first, min(first + 300, height))[:, None] * np.ones(width)
            event = message()
            event.rows.first_row = first
            event.rows.spectral_radius.CopyFrom(to_proto(rows))
            yield event
        event = message()
        event.summary.window.CopyFrom(request.region.window)
        event.summary.method.CopyFrom(request.region.method)
        event.summary.area = 7
        yield event

    fake.answers[_rpc.STREAM_STABILITY_REGION] = answer
    region = fake_client.stability_region("rk4", points=(1001, 1000))
    assert region.radius.shape == (1000, 1001)
    np.testing.assert_array_equal(region.radius[:, 17], np.arange(1000))
    assert region.area == 7


def test_what_does_not_fit_is_refused(client):
    for arguments, field in [
        ({"method": "rk4", "coupling": 1.5}, "coupling"),
        ({"method": "rk4", "coupling": 0.0}, "coupling"),
        ({"method": "alf", "coupling": 0.9}, "coupling"),
        ({"method": "alf", "eta": 0.5}, "eta"),
        ({"method": "rk4", "window": (0, 1, math.nan, 1)}, "window"),
        ({"method": "rk4", "window": (1, 0, 0, 1)}, "window"),
        ({"method": "rk4", "window": (0, 1)}, "window"),
        ({"method": "rk4", "window": (0, 0, 0, 0)}, "window"),
        ({"method": "rk4", "points": 1}, "points"),
        ({"method": "rk44"}, "rk4"),
        ({"method": "auto"}, "auto"),
    ]:
        with pytest.raises(costate.InvalidRequest, match=field):
            client.stability_region(**arguments)
    with pytest.raises(costate.LimitExceeded, match="100000 x 100000"):
        client.stability_region("rk4", points=100_000)


def test_steps_of_a_stiff_model(client):
    s = client.stability(STIFF, t=(0, 3), rtol=1e-4, points=20)
    assert s.eigenvalues.shape == (20, 2)
    np.testing.assert_allclose(s.eigenvalues, np.tile([-1000, -1], (20, 1)), rtol=1e-9)
    np.testing.assert_allclose(s.z, s.steps[:, None] * s.eigenvalues)
    assert s.largest_stable_step == pytest.approx(3.507e-3, rel=3e-3)
    assert s.largest_stable_steps.shape == s.times.shape
    assert s.stiffness_ratio == pytest.approx(1000)
    assert s.limiting.eigenvalue == pytest.approx(-1000)
    assert s.advice.startswith("Held back by stability")
    assert s.advice in str(s)
    assert s.region.method == s.options["method"] == "tsit5"
    assert s.status
    assert s.complete and s.converged
    assert s.reconstruction is None
    assert s.analysed_steps <= s.stats.accepted_steps
    assert "<table>" in s._repr_html_()


def test_a_step_is_stable_or_not(client):
    inside = client.stability(STIFF, t=(0, 1), method="rk4", dt=0.0025)
    assert inside.share_outside == 0
    assert inside.worst is None
    outside = client.stability(STIFF, t=(0, 1), method="rk4", dt=0.003)
    assert outside.share_outside > 0.99  # the last step is shortened
    assert outside.worst.eigenvalue == pytest.approx(-1000)
    assert outside.advice.startswith("Unstable")
    # What was foretold is what happens.
    x = abs(client.solve(STIFF, t=(0, 1), method="rk4", dt=0.003).final["x"])
    assert math.log(x) == pytest.approx(outside.growth, rel=0.01)


def test_against_another_method(client):
    euler = client.stability(STIFF, t=(0, 1), method="rk4", dt=0.0025, against="euler")
    assert euler.region.method == "euler"
    assert euler.options["method"] == "rk4"
    assert euler.share_outside == 1
    region = client.stability_region("rk4", coupling=0.99, raster=False)
    coupled = client.stability(STIFF, t=(0, 1), method="rk4", dt=0.0025, against=region)
    assert coupled.region.coupling == 0.99
    assert coupled.reconstruction.checkpoint_every > 0
    assert "checkpoint_every" in coupled.advice


def test_arguments(client):
    for arguments, field in [
        ({"points": 0}, "points"),
        ({"num_eigenvalues": 1000}, "num_eigenvalues"),
        ({"params": {"a": [1.0, 2.0]}}, "batch"),
        ({"against": "auto"}, "auto"),
    ]:
        with pytest.raises(costate.InvalidRequest, match=field):
            client.stability(STIFF, t=(0, 1), **arguments)
    with pytest.raises(TypeError, match="rtol"):
        client.stability(STIFF, rtoll=1.0)


def test_asyncio(client):
    async def use():
        async with costate.aio.connect(client.address) as twin:
            region = await twin.stability_region("euler", points=(1200, 1000))
            return region, await twin.stability(STIFF, t=(0, 1))

    region, s = asyncio.run(use())
    assert region.radius.shape == (1000, 1200)
    assert s.stiffness_ratio == pytest.approx(1000)


def test_pictures(client):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    for region in (
        client.stability_region("tsit5", points=60),
        client.stability_region("rk4", coupling=0.9, raster=False),
        client.stability_region("reversible_heun", points=60),
        client.stability_region("rk4", order_star=True, points=60),
    ):
        ax = region.plot()
        drawn = sum(len(line.get_xdata()) for line in ax.lines)
        assert drawn >= sum(len(line) for line in region.boundary)
        assert region.label in ax.get_title()
        ax.figure.canvas.draw()
    s = client.stability(STIFF, t=(0, 1), method="rk4", dt=0.05)
    ax = s.plot()
    assert len(ax.collections[-1].get_offsets()) == s.z.size
    assert any("beyond" in text.get_text() for text in ax.texts)
    plain = client.stability_region("rk4", points=30).plot(np.array([-1 + 1j, -2.0]))
    assert len(plain.collections[-1].get_offsets()) == 2
    plt.close("all")
