"""Draws what gradient methods cost and how right they are, as PNG and CSV.

    python tests/figures/gradients.py [--output build/figures] [--quick]

Four figures, from a private server:
  memory_against_steps      peak stored bytes against the number of steps, every method
  error_against_tolerance   relative error of the gradient against rtol, every method
  segments                  error, stored bytes and time for K segments, full backprop, backsolve
  forward_runtime           time of a forward gradient against rtol, by tangent control

The problem is the damped oscillator with a linear loss of its states at several times, whose
gradient is known in closed form. `--quick` takes few points, for a look.
"""

import argparse
import csv
import pathlib
import time

import matplotlib

matplotlib.use("Agg")
import costate
import matplotlib.pyplot as plt
import numpy as np

PROBLEM = pathlib.Path(__file__).parents[1] / "problems" / "damped_oscillator.ode"
OMEGA, ZETA = 2.0, 0.1
SPAN = (0.0, 20.0)
TIMES = np.array([2.5, 7.3, 12.1, 20.0])
WEIGHTS = np.array([1.0, -0.5, 2.0, 1.5])  # of x at TIMES
NAMES = ["omega", "zeta", "x0", "v0"]
REVERSE = [
    "backprop",
    "checkpointed",
    "segmented",
    "backsolve",
    "interpolating",
    "quadrature",
    "gauss",
]
METHODS = ["forward", *REVERSE, "finite_difference"]
SEGMENTS = [1, 5, 10, 50]


def exact(parameters):
    """The loss in closed form; complex arguments give derivatives without cancellation."""
    omega, zeta, x0, v0 = parameters
    a = zeta * omega
    w = np.sqrt(omega**2 - a**2)
    wave = x0 * np.cos(w * TIMES) + (v0 + a * x0) / w * np.sin(w * TIMES)
    return np.sum(WEIGHTS * np.exp(-a * TIMES) * wave)


def exact_gradient():
    gradient = []
    for j in range(len(NAMES)):
        parameters = np.array([OMEGA, ZETA, 1.0, 0.0], dtype=complex)
        parameters[j] += 1e-40j
        gradient.append(exact(parameters).imag / 1e-40)
    return np.array(gradient)


class Bench:
    """Gradients of the one problem, by method and option."""

    def __init__(self, client):
        self.client = client
        self.model = costate.Model.from_file(PROBLEM)
        self.loss = costate.Linear(t=TIMES, states={"x": WEIGHTS})
        self.exact = exact_gradient()

    def gradient(self, method, rtol=1e-6, dt=None, **options):
        atol = rtol * 1e-3
        if method == "backsolve":
            options["backward"] = costate.Backward(rtol=rtol, atol=atol)
        steps = {"dt": dt} if dt is not None else {"rtol": rtol, "atol": atol}
        return self.client.gradient(
            self.model,
            t=SPAN,
            loss=self.loss,
            wrt=NAMES,
            gradient_method=method,
            method="tsit5",
            report=False,
            max_steps=10_000_000,
            **steps,
            **options,
        )

    def error(self, gradient):
        return np.linalg.norm(gradient.vector - self.exact) / np.linalg.norm(self.exact)

    def seconds(self, *arguments, repeats=7, **options):
        """The median time in the engine."""
        times = []
        for _ in range(repeats):
            times.append(self.gradient(*arguments, **options).timing.engine)
        return float(np.median(times))


class Figure:
    """One figure and its table: rows of (series, x, y)."""

    def __init__(self, name, x, y):
        self.name, self.x, self.y = name, x, y
        self.rows = []

    def add(self, series, x, y):
        self.rows.append((series, x, y))

    def write(self, folder, title):
        with open(folder / f"{self.name}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["series", self.x, self.y])
            writer.writerows(self.rows)
        figure, axes = plt.subplots(figsize=(7.5, 5))
        markers = "os^vDP*Xh<>"
        for i, series in enumerate(dict.fromkeys(row[0] for row in self.rows)):
            points = np.array([row[1:] for row in self.rows if row[0] == series], dtype=float)
            axes.loglog(*points.T, marker=markers[i % len(markers)], ms=5, lw=1.2, label=series)
        axes.set(xlabel=self.x, ylabel=self.y, title=title)
        axes.grid(True, which="major", alpha=0.3)
        axes.legend(fontsize=8)
        figure.tight_layout()
        figure.savefig(folder / f"{self.name}.png", dpi=150)
        plt.close(figure)


def memory_against_steps(bench, folder, quick):
    figure = Figure("memory_against_steps", "steps", "peak stored bytes")
    for steps in [100, 1000] if quick else [100, 300, 1000, 3000, 10_000, 30_000, 100_000]:
        dt = (SPAN[1] - SPAN[0]) / steps
        for method in REVERSE:
            options = {"checkpointed": {"checkpoints": 32}, "segmented": {"segments": 10}}
            g = bench.gradient(method, dt=dt, **options.get(method, {}))
            figure.add(method, g.stats.replayed_steps or steps, g.stats.peak_stored_bytes)
    figure.write(folder, "Stored trajectory with its step times (8 bytes each), fixed steps")


def error_against_tolerance(bench, folder, quick):
    figure = Figure("error_against_tolerance", "rtol", "relative error of the gradient")
    exponents = [3, 6, 9] if quick else range(3, 12)
    for method in METHODS:
        for exponent in exponents:
            rtol = 10.0**-exponent
            figure.add(method, rtol, bench.error(bench.gradient(method, rtol)))
        if method == "forward":
            for exponent in exponents:
                rtol = 10.0**-exponent
                g = bench.gradient(method, rtol, tangent_control="primal_only")
                figure.add("forward, primal only", rtol, bench.error(g))
    figure.write(folder, "Gradient error, damped oscillator (closed form), tsit5")


def segments(bench, folder, quick):
    """One panel each for error, memory and time; backprop and backsolve at the two ends."""
    names = ["backprop", *(f"K = {k}" for k in SEGMENTS), "backsolve"]
    rows = []
    for name in names:
        method, options = name, {}
        if name.startswith("K"):
            method, options = "segmented", {"segments": int(name[4:])}
        g = bench.gradient(method, 1e-8, **options)
        seconds = bench.seconds(method, 1e-8, repeats=3 if quick else 31, **options)
        rows.append((name, bench.error(g), g.stats.peak_stored_bytes, seconds))
    with open(folder / "segments.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "relative error", "peak stored bytes", "seconds"])
        writer.writerows(rows)
    figure, panels = plt.subplots(1, 3, figsize=(12, 4))
    titles = ["relative error", "peak stored bytes", "seconds in the engine"]
    for axes, column, title in zip(panels, (1, 2, 3), titles, strict=True):
        axes.bar(names, [row[column] for row in rows], color="#4878a8")
        if column != 3:  # whole decades, so that bars compare
            axes.set_yscale("log")
            values = np.log10([row[column] for row in rows])
            axes.set_ylim(10 ** np.floor(values.min() - 0.5), 10 ** np.ceil(values.max()))
        axes.set_title(title)
        axes.tick_params(axis="x", rotation=45)
    figure.suptitle("Damped oscillator, rtol 1e-8: K checkpoints between full storage and none")
    figure.tight_layout()
    figure.savefig(folder / "segments.png", dpi=150)
    plt.close(figure)


def forward_runtime(bench, folder, quick):
    figure = Figure("forward_runtime", "rtol", "seconds in the engine")
    for control in ["full", "primal_only"]:
        for exponent in [3, 6, 9] if quick else range(3, 12):
            rtol = 10.0**-exponent
            seconds = bench.seconds("forward", rtol, tangent_control=control)
            figure.add(control.replace("_", " "), rtol, seconds)
    figure.write(folder, "Forward gradient, damped oscillator, 4 columns, tsit5")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("build/figures"))
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with costate.local() as client:
        bench = Bench(client)
        for draw in (memory_against_steps, error_against_tolerance, segments, forward_runtime):
            start = time.monotonic()
            draw(bench, options.output, options.quick)
            path = options.output / f"{draw.__name__}.png"
            print(f"{path}  {time.monotonic() - start:.1f} s")


if __name__ == "__main__":
    main()
