"""Fits influenza and hare-lynx with SciPy and writes what fit_test.cc compares with.

    .venv/bin/python tests/engine/fit/scipy_reference.py > tests/engine/fit/scipy_reference.h

Residuals with their exact derivatives, from the variational equations by DOP853 within 1e-12, go to
scipy.optimize.least_squares. Covariances are the inverse of J'J by natural values; the ends of the
profile are roots of the re-optimised objective.
"""

import numpy as np
import scipy.optimize
import scipy.stats
from scipy.integrate import solve_ivp

IN_BED = [3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4]
HARE = [30.0, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22.0, 25.4, 27.1]
HARE += [40.3, 57.0, 76.6, 52.3, 19.5, 11.2, 7.6, 14.6, 16.2, 24.7]
LYNX = [4.0, 6.1, 9.8, 35.2, 59.4, 41.7, 19.0, 13.0, 8.3, 9.1, 7.4]
LYNX += [8.0, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8, 9.7, 10.1, 8.6]


def with_tangents(f, jacobian, n, q):
    """The right-hand side of y and of its derivatives Z [n, q] by q elements."""

    def rhs(t, state, v):
        y, z = state[:n], state[n:].reshape(n, q)
        by_y, by_v = jacobian(y, v)
        return np.concatenate([f(y, v), (by_y @ z + by_v).ravel()])

    return rhs


def sir(y, v):
    b, k, _ = v
    n = y.sum()
    return np.array([-b * y[0] * y[1] / n, b * y[0] * y[1] / n - k * y[1], k * y[1]])


def sir_jacobian(y, v):
    b, k, _ = v
    s, i, _ = y
    n = y.sum()
    infection = b * s * i / n  # and its derivatives by s, i, r
    by = np.array([b * i / n - infection / n, b * s / n - infection / n, -infection / n])
    by_y = np.array([-by, by - [0, k, 0], [0, k, 0]])
    by_v = np.array([[-s * i / n, 0, 0], [s * i / n, -i, 0], [0, i, 0]])
    return by_y, by_v


def influenza(v):
    """Residuals and Jacobian by (b, k, i0)."""
    start = np.concatenate([[762, v[2], 0], np.zeros(9)])
    start[3 + 3 + 2] = 1  # di/di0
    sol = solve_ivp(
        with_tangents(sir, sir_jacobian, 3, 3),
        (0, 14),
        start,
        "DOP853",
        np.arange(1, 15),
        args=(v,),
        rtol=1e-12,
        atol=1e-12,
    )
    return (sol.y[1] - IN_BED) / 10, sol.y[6:9].T / 10


def prey(y, v):
    return np.array([v[0] * y[0] - v[1] * y[0] * y[1], -v[2] * y[1] + v[3] * y[0] * y[1]])


def prey_jacobian(y, v):
    x, z = y
    by_y = np.array([[v[0] - v[1] * z, -v[1] * x], [v[3] * z, -v[2] + v[3] * x]])
    by_v = np.array([[x, -x * z, 0, 0, 0, 0], [0, 0, -z, x * z, 0, 0]])
    return by_y, by_v


def hare_lynx(logarithmic):
    """Residuals and Jacobian by (a, b, c, d, hare0, lynx0); sigma 0.25 of logarithms, or 5."""

    def residuals(v):
        start = np.concatenate([v[4:], np.zeros(12)])
        start[2 + 4] = start[2 + 6 + 5] = 1
        sol = solve_ivp(
            with_tangents(prey, prey_jacobian, 2, 6),
            (1900, 1920),
            start,
            "DOP853",
            np.arange(1900, 1921),
            args=(v,),
            rtol=1e-12,
            atol=1e-12,
        )
        model = np.concatenate([sol.y[0], sol.y[1]])
        data = np.concatenate([HARE, LYNX])
        jacobian = np.concatenate([sol.y[2:8].T, sol.y[8:14].T])
        if logarithmic:
            return np.log(model / data) / 0.25, jacobian / model[:, None] / 0.25
        return (model - data) / 5, jacobian / 5

    return residuals


def fit(model, start):
    """In logarithms, so that steps are relative."""
    result = scipy.optimize.least_squares(
        lambda x: model(np.exp(x))[0],
        np.log(start),
        lambda x: model(np.exp(x))[1] * np.exp(x),
        method="lm",
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
    )
    v = np.exp(result.x)
    _, jacobian = model(v)
    return v, np.linalg.inv(jacobian.T @ jacobian), result.cost


def profile_ends(model, best, cost, element):
    """Values of best[element] where the cost re-optimised over the others has risen by the half of
    the 95 % quantile of chi squared with one degree of freedom."""
    others = [j for j in range(len(best)) if j != element]
    allowed = scipy.stats.chi2.ppf(0.95, 1) / 2

    def rise(value):
        def at(x):
            v = np.array(best)
            v[element], v[others] = value, np.exp(x)
            return v

        result = scipy.optimize.least_squares(
            lambda x: model(at(x))[0],
            np.log(best[others]),
            lambda x: (model(at(x))[1] * at(x))[:, others],
            method="lm",
            xtol=1e-12,
            ftol=1e-14,
        )
        return result.cost - cost - allowed

    value = best[element]
    return [
        scipy.optimize.brentq(rise, 0.5 * value, value, xtol=1e-9),
        scipy.optimize.brentq(rise, value, 2 * value, xtol=1e-9),
    ]


def show(name, values):
    numbers = ", ".join(f"{v:.12g}" for v in np.ravel(values))
    print(f"inline constexpr double {name}[] = {{{numbers}}};")


def main():
    print("// Written by scipy_reference.py; see there.")
    print("// clang-format off")
    print("#ifndef COSTATE_TESTS_ENGINE_FIT_SCIPY_REFERENCE_H_")
    print("#define COSTATE_TESTS_ENGINE_FIT_SCIPY_REFERENCE_H_")
    print()
    print("namespace costate::fit::reference {")
    print()
    print("// b, k, i0. cost: half the sum of squared residuals.")
    best, covariance, cost = fit(influenza, [1.66, 0.44, 1])
    show("kInfluenza", best)
    show("kInfluenzaCovariance", covariance)
    show("kInfluenzaCost", cost)
    print("// 95 % ends of the profile of b.")
    show("kInfluenzaProfile", profile_ends(influenza, best, cost, 0))
    print("// a, b, c, d, hare0, lynx0.")
    for name, logarithmic in (("LogNormal", True), ("Gaussian", False)):
        best, covariance, cost = fit(hare_lynx(logarithmic), [0.55, 0.028, 0.8, 0.024, 33, 6])
        show(f"kHareLynx{name}", best)
        show(f"kHareLynx{name}Covariance", covariance)
        show(f"kHareLynx{name}Cost", cost)
    print()
    print("}  // namespace costate::fit::reference")
    print()
    print("#endif  // COSTATE_TESTS_ENGINE_FIT_SCIPY_REFERENCE_H_")
    print("// clang-format on")


if __name__ == "__main__":
    main()
