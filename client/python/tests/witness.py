"""The same mathematics without Costate: SciPy's solvers, and differences of them."""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares

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


# Fits


# Pelts of the Hudson Bay Company in thousands, 1900 to 1920.
# fmt: off
HARE = np.array([
    30.0, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22.0, 25.4, 27.1,
    40.3, 57.0, 76.6, 52.3, 19.5, 11.2, 7.6, 14.6, 16.2, 24.7,
])
LYNX = np.array([
    4.0, 6.1, 9.8, 35.2, 59.4, 41.7, 19.0, 13.0, 8.3, 9.1, 7.4,
    8.0, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8, 9.7, 10.1, 8.6,
])
# fmt: on
BOYS_IN_BED = np.array([3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4], dtype=float)


def hare_lynx(times, a, b, c, d, hare, lynx):
    """[K, 2] prey and predators at the times, from t = 0, and [K, 2, 6] their derivatives by the
    arguments (from the variational equations), to about 1e-10."""

    def rhs(_, z):
        y, s = z[:2], z[2:].reshape(2, 6)
        meet = y[0] * y[1]
        by_state = np.array([[a - b * y[1], -b * y[0]], [d * y[1], d * y[0] - c]])
        by_parameter = np.array([[y[0], -meet, 0, 0, 0, 0], [0, 0, -y[1], meet, 0, 0]])
        dy = [a * y[0] - b * meet, d * meet - c * y[1]]
        return np.concatenate([dy, (by_state @ s + by_parameter).ravel()])

    start = np.zeros((2, 6))
    start[0, 4] = start[1, 5] = 1
    found = solve_ivp(
        rhs,
        (0, times[-1]),
        np.concatenate([[hare, lynx], start.ravel()]),
        method="DOP853",
        t_eval=times,
        rtol=1e-11,
        atol=1e-11,
    )
    assert found.success
    return found.y[:2].T, found.y[2:].T.reshape(-1, 2, 6)


def log_hare_lynx(x):
    """Logarithms of both in 1900 to 1920, and their derivatives."""
    values, slopes = hare_lynx(np.arange(21.0), *x)
    logs = [np.log(values[:, i]) for i in range(2)]
    return logs, [slopes[:, i] / values[:, i : i + 1] for i in range(2)]


def boys_in_bed(x):
    """Those of 14 days, and their derivatives by b and k."""

    def value(x):
        return sir(np.arange(1.0, 15.0), *x)[:, 1]

    return [value(x)], [jacobian(value, x)]


def jacobian(function, x):
    """[N, q] by Richardson extrapolation, with steps relative to x."""
    columns = []
    for j, value in enumerate(x):

        def along(z, j=j):
            moved = np.array(x, dtype=float)
            moved[j] = z
            return function(moved)

        columns.append(central_difference(along, value, 1e-3 * abs(value)))
    return np.column_stack(columns)


def maximum_likelihood(models, values, start, rounds=60):
    """Gaussian noise of one unknown size for each series: estimates, sizes and covariance.

    `models(x)` has a list of [N] beside `values`, and one of their derivatives [N, q]. Between two
    updates of the sizes it is a weighted sum of squares; where both stand still is the maximum of
    the likelihood. The covariance is the inverse of the expected information, in which the sizes
    do not mix with the estimates.
    """

    def sizes_at(x):
        return np.array([np.sqrt(np.mean((y - m) ** 2)) for y, m in zip(values, models(x)[0])])

    x = np.asarray(start, dtype=float)
    sizes = sizes_at(x)
    for _ in range(rounds):

        def residuals(x, sizes=sizes):
            return np.concatenate([(m - y) / s for m, y, s in zip(models(x)[0], values, sizes)])

        def slopes(x, sizes=sizes):
            return np.concatenate([j / s for j, s in zip(models(x)[1], sizes)])

        x = least_squares(
            residuals, x, jac=slopes, x_scale=np.abs(x), xtol=1e-14, ftol=1e-15, gtol=1e-12
        ).x
        before, sizes = sizes, sizes_at(x)
        if np.allclose(before, sizes, rtol=1e-10, atol=0):
            break
    scaled = slopes(x)
    q = len(x)
    covariance = np.zeros((q + len(sizes),) * 2)
    covariance[:q, :q] = np.linalg.inv(scaled.T @ scaled)
    covariance[q:, q:] = np.diag([s**2 / (2 * len(y)) for s, y in zip(sizes, values)])
    return x, sizes, covariance
