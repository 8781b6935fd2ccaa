"""Trains a small neural ODE on a white dwarf, with every way to come by its gradient.

    python white_dwarf.py [--full] [--quick] [--output build/white_dwarf]

The experiment of McCallum and Foster, "Efficient, Accurate and Stable Gradients for Neural ODEs"
(arXiv 2410.11648): Chandrasekhar's equation of the density of a white dwarf is solved once, and a
network 3-10-2 inside a differential equation learns it from the states at all 1,000 steps, in 1,000
iterations of AdamW. `reversible` couples the base method, so that its steps can be taken back; the
others differentiate the base method as it is and keep states in memory.

Prints the loss, the time and the memory of each, with the published times beside (they are minutes
of the authors' machine, for orientation only), and draws
  runtime.png       the time of one gradient against the number of steps
  convergence.png   the error of coupled and plain methods against the step
  stability.png     the regions where coupled methods damp

By default `reversible` and `backprop` train to the end and the others are timed over 30 gradients;
`--full` trains all. `--quick` takes few steps and points, for a look.
"""

import argparse
import dataclasses
import math
import pathlib
import time

import costate
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

WHITE_DWARF = """
model white_dwarf
param C = 1e-3
state y[2] = [1, 0]
y' = [y[1], -max(y[0]^2 - C, 0)^1.5 - 2*y[1]/(t + 0.5)]
"""
NETWORK = """
model white_dwarf_node
param w[10]       # by time
param W1[10, 2]   # by state
param b1[10]
param W2[2, 10]
param b2[2]
state y[2] = [1, 0]
y' = W2 @ tanh(W1 @ y + w*t + b1) + b2
"""
WAVE = """
model wave
state y = 1
y' = y*cos(t)
"""
NAMES = ["w", "W1", "b1", "W2", "b2"]
FAN_IN = {"w": 3, "W1": 3, "b1": 3, "W2": 10, "b2": 10}
END = 5.0
COUPLING = 0.999
BASES = ["euler", "midpoint", "ralston3", "rk4"]
SLOTS = [44, 32, 16, 8, 4, 2]
TIMED = 30  # gradients where training is not carried through
# Minutes for 1,000 iterations, recomputed from the authors' raw files.
PUBLISHED = {
    "euler": [1.52, 5.22, 8.08, 8.93, 10.71, 30.5, 264],
    "midpoint": [1.74, 5.45, 8.72, 9.56, 10.57, 30.3, 280],
    "ralston3": [1.81, 4.90, 7.61, 8.35, 10.02, 29.8, 260],
    "rk4": [2.21, 4.95, 7.51, 8.19, 9.88, 29.2, 254],
}
REVERSIBLE = {"gradient_method": "reversible", "coupling": COUPLING}
# The state solved backwards needs tolerances, and so a method with an error estimate.
BACKSOLVE = {
    "gradient_method": "backsolve",
    "backward": costate.Backward(method="tsit5", rtol=1e-6, atol=1e-6),
}


def checkpointed(slots):
    return {"gradient_method": "checkpointed", "checkpoints": slots}


METHODS = {
    "reversible": REVERSIBLE,
    **{f"checkpointed, {slots}": checkpointed(slots) for slots in SLOTS},
    "backprop": {"gradient_method": "backprop"},
    "backsolve": BACKSOLVE,
}
CARRIED_THROUGH = ["reversible", "backprop"]


def initial_weights(info, seed):
    """Uniform within 1/sqrt(inputs of the layer)."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.uniform(-1, 1, info.params[name].shape) / math.sqrt(FAN_IN[name])
        for name in NAMES
    }


class AdamW:
    """Loshchilov and Hutter 2019, with the usual constants."""

    def __init__(self, rate=1e-2, decay=1e-5):
        self.rate, self.decay, self.step = rate, decay, 0
        self.mean = dict.fromkeys(NAMES, 0.0)
        self.square = dict.fromkeys(NAMES, 0.0)

    def update(self, weights, gradient):
        self.step += 1
        updated = {}
        for name in NAMES:
            self.mean[name] = 0.9 * self.mean[name] + 0.1 * gradient[name]
            self.square[name] = 0.999 * self.square[name] + 0.001 * gradient[name] ** 2
            mean = self.mean[name] / (1 - 0.9**self.step)
            root = np.sqrt(self.square[name] / (1 - 0.999**self.step)) + 1e-8
            updated[name] = weights[name] - self.rate * (mean / root + self.decay * weights[name])
        return updated


@dataclasses.dataclass(frozen=True)
class Run:
    """What training took; `seconds` as the caller sees it, for all iterations."""

    loss: float
    seconds: float
    engine_seconds: float  # of one gradient, the median
    stored_bytes: int
    carried_through: bool


class Experiment:
    def __init__(self, client, steps, iterations, seed):
        self.client, self.iterations = client, iterations
        self.grid = np.linspace(0.0, END, steps + 1)
        self.network = costate.Model(NETWORK)
        self.weights = initial_weights(client.describe(self.network), seed)

    def loss(self, base, options):
        """The mean square over all steps, to data that the very same scheme makes."""
        data = self.client.solve(
            costate.Model(WHITE_DWARF),
            t=(0.0, END),
            grid=self.grid,
            save_at=self.grid,
            method=base,
            coupling=options.get("coupling"),
        )["y"]
        return costate.LeastSquares(state="y", t=self.grid, values=data, sigma=math.sqrt(data.size))

    def train(self, base, options, iterations):
        loss, weights, optimiser = self.loss(base, options), self.weights, AdamW()

        def gradient(weights):
            return self.client.gradient(
                self.network,
                t=(0.0, END),
                loss=loss,
                wrt=NAMES,
                params=weights,
                grid=self.grid,
                method=base,
                report=False,
                timeout=math.inf,
                **options,
            )

        gradient(weights)  # compiles
        engine = []
        start = time.perf_counter()
        for _ in range(iterations):
            g = gradient(weights)
            engine.append(g.timing.engine)
            weights = optimiser.update(weights, g)
        seconds = time.perf_counter() - start
        return Run(
            loss=gradient(weights).value,
            seconds=seconds * self.iterations / iterations,
            engine_seconds=float(np.median(engine)),
            stored_bytes=g.stats.peak_stored_bytes,
            carried_through=iterations == self.iterations,
        )


def print_table(experiment, full):
    print(f"{len(experiment.grid) - 1} steps, {experiment.iterations} iterations of AdamW:\n")
    print(
        f"{'base':<10}{'gradient':<18}{'loss':>10}{'training':>12}{'one gradient':>14}"
        f"{'stored':>12}{'published':>11}"
    )
    for base in BASES:
        published = dict(zip(METHODS, PUBLISHED[base]))
        for name, options in METHODS.items():
            through = full or name in CARRIED_THROUGH
            count = experiment.iterations if through else min(TIMED, experiment.iterations)
            run = experiment.train(base, options, count)
            loss = f"{run.loss:.3e}" if run.carried_through else "-"
            seconds = f"{'' if run.carried_through else '~'}{run.seconds:.1f} s"
            minutes = f"{published[name]:g} min" if name in published else "-"
            print(
                f"{base:<10}{name:<18}{loss:>10}{seconds:>12}"
                f"{1e3 * run.engine_seconds:>11.2f} ms{run.stored_bytes / 1e3:>9.1f} kB"
                f"{minutes:>11}",
                flush=True,
            )
    print(
        "\nstored: step times, 8 bytes each, and what is kept besides. one gradient: the median of "
        "the\nengine, without the call. checkpointed, k: at most k states. backsolve goes back by "
        "tsit5\nwithin 1e-6."
    )
    if not full and experiment.iterations > TIMED:
        print(f"~ all iterations would take that long, by {TIMED} gradients; --full takes them.")
    print()


def save(figure, path):
    figure.savefig(path, dpi=150)
    plt.close(figure)
    print(f"Drew {path}.", flush=True)


def draw_runtime(experiment, path, quick):
    """Of the gradient of the state at the end, in ever finer steps."""
    powers = np.arange(2, 3) if quick else np.arange(2, 5.01, 0.5)
    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 8), sharex=True, layout="constrained")
    series = {"reversible": REVERSIBLE, "backprop": METHODS["backprop"]}
    series |= {f"{slots} checkpoints": checkpointed(slots) for slots in (44, 16, 8, 4, 2)}
    for name, options in series.items():
        counts = [round(10**p) for p in powers if p <= 4 or name == "reversible"]
        seconds, stored = [], []
        for count in counts:
            gradients = [
                experiment.client.gradient(
                    experiment.network,
                    t=(0.0, END),
                    loss=costate.Terminal(states={"y": np.ones(2)}),
                    wrt=NAMES,
                    params=experiment.weights,
                    dt=END / count,
                    method="midpoint",
                    report=False,
                    timeout=math.inf,
                    **options,
                )
                for _ in range(7)
            ]
            seconds.append(min(g.timing.engine for g in gradients))
            stored.append(gradients[0].stats.peak_stored_bytes)
        style = {"marker": "o", "lw": 2.5} if name == "reversible" else {"marker": ".", "lw": 1.2}
        above.loglog(counts, 1e3 * np.array(seconds), label=name, **style)
        below.loglog(counts, stored, label=name, **style)
    counts = np.array([100, 10**5])
    below.loglog(counts, 8 * counts, ":", color="black", label="step times alone")
    above.set(ylabel="one gradient, ms", title="Network 3-10-2, midpoint, t from 0 to 5")
    below.set(xlabel="steps", ylabel="stored bytes")
    for axes in (above, below):
        axes.grid(True, alpha=0.3)
    below.legend(frameon=False)
    save(figure, path)


def draw_convergence(client, path, quick):
    """Against exp(sin(t)), which solves y' = y cos(t)."""
    counts = [100, 200] if quick else [round(10**p) for p in np.arange(2, 5.51, 0.25)]
    figure, axes = plt.subplots(figsize=(7.5, 5.5), layout="constrained")
    colors = dict(zip(BASES, plt.rcParams["axes.prop_cycle"].by_key()["color"]))
    model, end = costate.Model(WAVE), 10.0
    styles = {None: ("--", "plain"), 0.99: ("-", "coupling 0.99"), 0.999: ("-", "coupling 0.999")}
    for base, color in colors.items():
        for coupling, (line, label) in styles.items():
            errors = []
            for count in counts:
                sol = client.solve(
                    model,
                    t=(0.0, end),
                    dt=end / count,
                    method=base,
                    coupling=coupling,
                )
                errors.append(max(abs(sol["y"][-1] - math.exp(math.sin(end))), 1e-16))
            axes.loglog(
                end / np.array(counts),
                errors,
                line,
                color=color,
                marker={None: None, 0.99: "v", 0.999: "^"}[coupling],
                ms=4,
                lw=1.1,
                label=f"{base}, {label}",
            )
    axes.set(xlabel="step", ylabel="error at the end", title="y' = y cos(t), t from 0 to 10")
    axes.grid(True, alpha=0.3)
    axes.legend(fontsize=7, frameon=False, ncols=2)
    save(figure, path)


def draw_stability(client, path):
    """Where a step of size 1 does not grow, by the eigenvalue."""
    window = (-3.2, 1.3, -3.3, 3.3)
    figure, panels = plt.subplots(1, len(BASES), figsize=(13, 5.6), layout="constrained")
    for base, axes in zip(BASES, panels):
        region = client.stability_region(base, coupling=0.8, window=window, raster=False)
        region.plot(ax=axes)
        plain = client.stability_region(base, window=window, raster=False)
        for line in plain.boundary:
            axes.plot(line.real, line.imag, "--", color="0.5", lw=1)
        axes.set_title(f"{base}: real {region.real_interval[0]:.3f} to 0", fontsize="medium")
    figure.suptitle("Stable eigenvalues at h = 1, coupling 0.8 (dashed: the plain method)")
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="train with every method")
    parser.add_argument("--quick", action="store_true", help="few steps and points")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("build/white_dwarf"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    steps, iterations = (20, 3) if options.quick else (1000, 1000)
    with costate.local() as client:
        experiment = Experiment(client, steps, iterations, options.seed)
        print_table(experiment, options.full)
        draw_runtime(experiment, options.output / "runtime.png", options.quick)
        draw_convergence(client, options.output / "convergence.png", options.quick)
        draw_stability(client, options.output / "stability.png")


if __name__ == "__main__":
    main()
