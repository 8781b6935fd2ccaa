"""The influenza fit of fit_bench.cc as a loop over SciPy: what a user would write by hand.

    python scipy_fit.py LSODA starts.txt

starts.txt has log10 of b, k and i(0) on each line. Prints the seconds of the loop, how many starts
reached the best, and how many solves they took.
"""

import sys
import time

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares

DAYS = np.arange(1.0, 15.0)
IN_BED = np.array([3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4.0])
SIGMA = 10.0
LOWER = np.log10([0.1, 0.05, 0.1])
UPPER = np.log10([10, 5, 100])


def rhs(t, y, b, k):
    s, i, r = y
    infections = b * s * i / (s + i + r)
    recoveries = k * i
    return [-infections, infections - recoveries, recoveries]


class Residuals:
    def __init__(self, method):
        self.method, self.solves = method, 0

    def __call__(self, x):
        self.solves += 1
        b, k, i0 = 10.0**x
        sol = solve_ivp(
            rhs,
            (0, 14),
            [762, i0, 0],
            self.method,
            DAYS,
            args=(b, k),
            rtol=1e-8,
            atol=1e-8,
        )
        return (sol.y[1] - IN_BED) / SIGMA


def main():
    method, path = sys.argv[1:]
    starts = np.clip(np.loadtxt(path), LOWER, UPPER)
    residuals = Residuals(method)
    residuals(starts[0])  # warms up
    residuals.solves = 0
    costs = []
    begin = time.perf_counter()
    for start in starts:
        # The very bound is no start for least_squares.
        inside = np.clip(start, LOWER + 1e-10, UPPER - 1e-10)
        result = least_squares(
            residuals, inside, bounds=(LOWER, UPPER), ftol=1e-9, xtol=1e-9, gtol=1e-8
        )
        costs.append(result.cost)
    seconds = time.perf_counter() - begin
    reached = np.count_nonzero(np.array(costs) <= min(costs) * (1 + 1e-6) + 1e-6)
    print(seconds, reached, residuals.solves)


if __name__ == "__main__":
    main()
