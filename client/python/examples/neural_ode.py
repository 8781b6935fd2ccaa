"""Trains a small neural network inside a differential equation (a neural ODE 2-50-2).

    python neural_ode.py [--steps 150]

The data are 30 points of a spiral. The network's weights are tensor parameters of the model; one
call returns the loss and its gradient by all 252 of them. Adam runs here, in a few lines of NumPy.
"""

import argparse

import costate
import numpy as np

SPIRAL = """
model spiral
state y[2] = [2, 0]
param A[2, 2] = [[-0.1, 2.0], [-2.0, -0.1]]
y' = A @ y^3
"""
NETWORK = """
model spiral_node
param W1[50, 2]
param b1[50]
param W2[2, 50]
param b2[2]
state y[2] = [2, 0]
y' = W2 @ tanh(W1 @ y^3 + b1) + b2
"""
NAMES = ["W1", "b1", "W2", "b2"]
SPAN = (0.0, 1.5)


def initial_weights(rng):
    return {
        "W1": 0.5 * rng.standard_normal((50, 2)),
        "b1": np.zeros(50),
        "W2": 0.1 * rng.standard_normal((2, 50)),
        "b2": np.zeros(2),
    }


def train(client, loss, steps, rate=0.02):
    """Adam (Kingma and Ba, 2015) with its usual constants."""
    model = costate.Model(NETWORK)
    weights = initial_weights(np.random.default_rng(0))
    mean = {name: np.zeros_like(value) for name, value in weights.items()}
    square = {name: np.zeros_like(value) for name, value in weights.items()}
    losses = []
    for step in range(1, steps + 1):
        g = client.gradient(model, t=SPAN, loss=loss, wrt=NAMES, params=weights, report=False)
        losses.append(g.value)
        for name in NAMES:
            mean[name] += 0.1 * (g[name] - mean[name])
            square[name] += 0.001 * (g[name] ** 2 - square[name])
            root = np.sqrt(square[name] / (1 - 0.999**step)) + 1e-8
            weights[name] = weights[name] - rate * mean[name] / (1 - 0.9**step) / root
        if step == 1 or step % 25 == 0:
            print(f"  step {step:4d}  loss {g.value:10.4f}  by {g.method}, {g.stats.solve}")
    last = client.gradient(model, t=SPAN, loss=loss, wrt=NAMES, params=weights)
    print(f"The last gradient: {last.report.headline()}")
    return losses


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=150)
    steps = parser.parse_args().steps
    times = np.linspace(*SPAN, 30)
    with costate.local() as client:
        truth = client.solve(costate.Model(SPIRAL), t=SPAN, save_at=times)
        loss = costate.LeastSquares(state="y", t=times, values=truth["y"])
        losses = train(client, loss, steps)
    print(f"The loss fell from {losses[0]:.3g} to {min(losses):.3g}.")


if __name__ == "__main__":
    main()
