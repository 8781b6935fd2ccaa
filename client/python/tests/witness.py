"""The same mathematics without Costate: SciPy's solvers, and differences of them."""

import numpy as np
from scipy.integrate import solve_ivp

N = 763.0


def sir_rhs(_, y, b, k):
    infections = b * y[0] * y[1] / y.sum()
    return [-infections, infections - k * y[1], k * y[1]]


def sir(times, b=1.66, k=0.44, i0=1.0, *, t0=0.0, s0=762.0):
    """[K, 3] states at the times, to about 1e-10."""
    times = np.asarray(times, dtype=float)
    end = max(times[-1], t0 + 1e-9)
    found = solve_ivp(
        sir_rhs,
        (t0, end),
        [s0, i0, 0.0],
        method="DOP853",
        t_eval=times,
        args=(b, k),
        rtol=1e-12,
        atol=1e-12,
    )
    assert found.success
    return found.y.T


def central_difference(function, x, step=1e-4):
    """Derivative by Richardson extrapolation, error about step^4."""
    coarse = (function(x + step) - function(x - step)) / (2 * step)
    fine = (function(x + step / 2) - function(x - step / 2)) / step
    return (4 * fine - coarse) / 3
