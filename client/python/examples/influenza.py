"""Fits an epidemic to real data: SciPy here, values and gradients from a Costate server.

    python influenza.py [--output influenza.png]

An influenza outbreak in an English boarding school of 763 boys: the number of boys confined to
bed on each of 14 days (British Medical Journal, 4 March 1978). The model is the epidemic of
Kermack and McKendrick: `s` boys are susceptible, `i` ill, `r` recovered; an ill boy infects b
others a day while everybody is susceptible, and stays ill for 1/k days. One boy is ill at t = 0,
the day before the first count, so day 1 of the data is t = 1.
"""

import argparse
import dataclasses
import pathlib

import costate
import numpy as np
from scipy.optimize import minimize

MODEL = """
# Kermack-McKendrick epidemic
model sir

param b = 1.66 in [0, 10]        # 1/day
param k = 0.44 in [0, 10]        # 1/day
state s = 762
state i = 1
state r = 0
let   n = s + i + r

s' = -b*s*i/n
i' =  b*s*i/n - k*i
r' =  k*i

output in_bed = i
"""
DAYS = np.arange(1.0, 15.0)
IN_BED = np.array([3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4], dtype=float)
SIGMA = 10.0  # boys: the scale of a misfit that counts as 1
NAMES = ["b", "k"]
START = np.array([1.0, 0.2])
SPAN = (0.0, 14.0)
TOLERANCES = {"rtol": 1e-8, "atol": 1e-8}


@dataclasses.dataclass
class Fit:
    """The best parameters, the gradient there, and what the search took."""

    params: dict
    gradient: costate.Gradient
    evaluations: int
    engine_seconds: float
    standard_errors: dict


def fit(client, model):
    loss = costate.LeastSquares(output="in_bed", t=DAYS, values=IN_BED, sigma=SIGMA)
    engine_seconds = []

    def value_and_gradient(x):
        # Without a report: the search asks dozens of times, and only the last gradient is shown.
        g = client.gradient(
            model,
            t=SPAN,
            loss=loss,
            wrt=NAMES,
            params=dict(zip(NAMES, x)),
            report=False,
            **TOLERANCES,
        )
        engine_seconds.append(g.timing.engine)
        return g.value, g.vector

    declared = client.describe(model).params
    bounds = [(declared[name].lower, declared[name].upper) for name in NAMES]
    found = minimize(
        value_and_gradient,
        START,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"ftol": 1e-13, "gtol": 1e-6},
    )
    if not found.success:
        raise SystemExit(f"the fit did not converge: {found.message}")
    params = dict(zip(NAMES, found.x))
    return Fit(
        params=params,
        gradient=client.gradient(model, t=SPAN, loss=loss, wrt=NAMES, params=params, **TOLERANCES),
        evaluations=len(engine_seconds),
        engine_seconds=sum(engine_seconds),
        standard_errors=standard_errors(client, model, params),
    )


def standard_errors(client, model, params):
    """From the curvature of the sum of squares, scaled by the misfit that is left."""
    s = client.sensitivities(model, t=SPAN, save_at=DAYS, wrt=NAMES, params=params, **TOLERANCES)
    jacobian = np.column_stack([s["in_bed", name] for name in NAMES])
    residuals = s.solution["in_bed"] - IN_BED
    variance = residuals @ residuals / (len(IN_BED) - len(NAMES))
    covariance = variance * np.linalg.inv(jacobian.T @ jacobian)
    return dict(zip(NAMES, np.sqrt(np.diag(covariance))))


def print_table(result):
    b, k = result.params["b"], result.params["k"]
    g = result.gradient
    errors = result.standard_errors
    rows = [
        ("b", f"{b:.4f} +- {errors['b']:.4f} infections a day per ill boy"),
        ("k", f"{k:.4f} +- {errors['k']:.4f} recoveries a day: ill for {1 / k:.2f} days"),
        ("R0 = b/k", f"{b / k:.3f}"),
        ("loss", f"{g.value:.6f} = sum of ((model - data)/{SIGMA:g} boys)^2"),
        ("gradient", f"dL/db = {g['b']:.2e}, dL/dk = {g['k']:.2e}"),
        ("its method", g.method_reason or g.method),
        ("its cost", str(g.stats)),
        (
            "evaluations",
            f"{result.evaluations} of value and gradient, "
            f"{1e3 * result.engine_seconds:.2f} ms of engine time in all",
        ),
    ]
    width = max(len(name) for name, _ in rows)
    print()
    for name, text in rows:
        print(f"  {name:<{width}}  {text}")
    print()


def draw(client, model, result, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    t = np.linspace(*SPAN, 281)
    sol = client.solve(model, t=SPAN, save_at=t, params=result.params, **TOLERANCES)
    fig, ax = plt.subplots(figsize=(7.2, 4.3), layout="constrained")
    ax.fill_between(t, sol["in_bed"], color="#2a6f97", alpha=0.10, linewidth=0)
    ax.plot(t, sol["in_bed"], color="#2a6f97", linewidth=2, label="fitted epidemic")
    ax.plot(DAYS, IN_BED, "o", color="#c1121f", label="boys in bed", clip_on=False)
    b, k = result.params["b"], result.params["k"]
    ax.text(
        0.98,
        0.70,
        f"b = {b:.3f} per day\nk = {k:.3f} per day\n$R_0$ = b/k = {b / k:.2f}",
        transform=ax.transAxes,
        ha="right",
        va="top",
        linespacing=1.5,
    )
    ax.set_title("Influenza in a boarding school of 763 boys, 1978", loc="left")
    ax.set_xlabel("day")
    ax.set_ylabel("boys in bed")
    ax.set_xlim(SPAN)
    ax.set_xticks(range(0, 15, 2))
    ax.set_ylim(bottom=0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="upper right")
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=150)
    plt.close(fig)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("influenza.png"))
    output = parser.parse_args().output

    with costate.local() as client:
        info = client.server_info()
        print(f"costated {info.version} ({info.evaluator}) answers at {client.address}.")
        model = costate.Model(MODEL)
        result = fit(client, model)
        print_table(result)
        print("How far that gradient can be trusted (at a minimum it should vanish):\n")
        print(result.gradient.report)
        print()
        draw(client, model, result, output)
    print(f"Drew {output}. The server is stopped.")
    print(
        "Next: change the model text or the data at the head of\n"
        f"  {pathlib.Path(__file__).resolve()}\n"
        "or try durable_fit.py and neural_ode.py beside it, or in a notebook:\n"
        "  import costate; client = costate.local()"
    )


if __name__ == "__main__":
    main()
