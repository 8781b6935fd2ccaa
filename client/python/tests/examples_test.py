import os
import pathlib
import re
import subprocess
import sys

import pytest
from conftest import ROOT

EXAMPLES = ROOT / "client" / "python" / "examples"


def run(name, *arguments, cwd):
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        cwd=cwd,
        env=os.environ,
        text=True,
        capture_output=True,
        timeout=100,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_influenza(tmp_path):
    pytest.importorskip("matplotlib")
    out = run("influenza.py", "--output", "deep/influenza.png", cwd=tmp_path)
    table, _, report = out.partition("Gradient report: ")
    values = {
        name: float(value)
        for name, value in re.findall(r"^  (b|k|R0 = b/k|loss) +([\d.]+)", table, re.MULTILINE)
    }
    assert report.startswith("INDISTINGUISHABLE FROM ZERO")  # it is a minimum
    # The fit that the literature finds for these data: b about 1.7, k about 0.45.
    assert values["b"] == pytest.approx(1.7, abs=0.1)
    assert values["k"] == pytest.approx(0.45, abs=0.05)
    assert values["R0 = b/k"] == pytest.approx(values["b"] / values["k"], abs=1e-3)
    assert "evaluations" in out
    assert "Next:" in out
    picture = pathlib.Path(tmp_path / "deep" / "influenza.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_durable_fit(tmp_path):
    """The server is killed while it works; the tables are those of an unbroken run."""
    pytest.importorskip("matplotlib")
    out = run("durable_fit.py", "--output", "deep/demo", cwd=tmp_path)
    done, starts = map(int, re.search(r"(\d+) of its (\d+) starts were", out).groups())
    assert done < starts
    assert int(re.search(r"the long one took (\d+) attempts", out)[1]) > 1
    assert "The killed fit and the other agree." in out
    influenza, hare, _ = out.split("Fit of ")[1:]
    r0 = float(re.search(r"R0 = b/k = ([\d.]+)", influenza)[1])
    assert r0 == pytest.approx(1.66922614 / 0.44345019, abs=1e-3)  # by SciPy, see witness.py
    values = dict(re.findall(r"^  (\w+) +([\d.]+) ", hare, re.MULTILINE))
    assert float(values["a"]) == pytest.approx(0.540014, rel=1e-4)
    assert float(values["lynx"]) == pytest.approx(5.84374, rel=1e-4)
    for name in ("influenza", "hare_lynx", "waterfall"):
        picture = pathlib.Path(tmp_path / "deep" / "demo" / f"{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")


def test_ensemble(tmp_path):
    out = run("ensemble.py", cwd=tmp_path)
    assert "1000 trajectories" in out


def test_neural_ode(tmp_path):
    out = run("neural_ode.py", "--steps", "120", cwd=tmp_path)
    first, last = map(float, re.search(r"fell from (\S+) to (\S+)\.", out).groups())
    assert last < 0.1 * first


def test_white_dwarf(tmp_path):
    pytest.importorskip("matplotlib")
    out = run("white_dwarf.py", "--quick", "--output", "deep/dwarf", cwd=tmp_path)
    rows = re.findall(r"^(\w+) +(reversible|backprop|\w+, \d+) +([\d.e+-]+) ", out, re.MULTILINE)
    losses = {(base, method): float(loss) for base, method, loss in rows}
    assert len(losses) == 4 * 8
    for (base, method), loss in losses.items():
        if method.startswith("checkpointed"):
            assert loss == losses[base, "backprop"]  # the same bits
    assert losses["rk4", "reversible"] == pytest.approx(losses["rk4", "backprop"], rel=0.05)
    for name in ("runtime", "convergence", "stability"):
        picture = pathlib.Path(tmp_path / "deep" / "dwarf" / f"{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
