"""Fits two classics as durable jobs, and kills the server while it works on them.

    python durable_fit.py [--output build/demo] [--data-directory DIRECTORY]

Three jobs are queued, and the client only watches:

- an influenza outbreak in an English boarding school of 763 boys: how many were confined to bed
  on each of 14 days (British Medical Journal, 4 March 1978), and the epidemic of Kermack and
  McKendrick, from 64 starts;
- hare and lynx around the Hudson Bay, in thousands of pelts sold from 1900 to 1920, and the prey
  and predators of Lotka and Volterra, from 64 starts too, because such fits have several minima;
- the same pelts from many more starts, which takes the server a while. In the middle of it the
  server is killed with signal 9, and another one is started on the same data directory. Nothing
  is lost.
"""

import argparse
import contextlib
import os
import pathlib
import signal
import tempfile
import time

import costate
import numpy as np

INFLUENZA = """
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

HARE_LYNX = """
# Lotka-Volterra; time in years, animals in thousands of pelts
model hare_lynx

param a = 0.5    # 1/year, births of prey
param b = 0.03   # 1/year for each thousand predators
param c = 0.8    # 1/year, deaths of predators
param d = 0.02   # 1/year for each thousand prey
state hare = 30
state lynx = 4

hare' = a*hare - b*hare*lynx
lynx' = d*hare*lynx - c*lynx
"""
YEARS = np.arange(21.0)  # since 1900
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
LABELS = {"in_bed": "boys in bed", "hare": "hare, thousand pelts", "lynx": "lynx, thousand pelts"}
STARTS = 64
TOLERANCES = {"rtol": 1e-8, "atol": 1e-8}


def fit_influenza(client, **options):
    return client.fit(
        costate.Model(INFLUENZA),
        data=[costate.Data(output="in_bed", t=DAYS, values=IN_BED)],  # its noise is estimated
        parameters={
            "b": costate.Free(1.0, (0.1, 10), scale="log10"),
            "k": costate.Free(0.2, (0.01, 10), scale="log10"),
        },
        t=(0, 14),
        **TOLERANCES,
        **options,
    )


def fit_hare_lynx(client, **options):
    return client.fit(
        costate.Model(HARE_LYNX),
        data=[
            costate.Data(state="hare", t=YEARS, values=HARE, noise="log_normal"),
            costate.Data(state="lynx", t=YEARS, values=LYNX, noise="log_normal"),
        ],
        parameters={
            "a": costate.Free(bounds=(0.3, 1.2), scale="log10"),
            "b": costate.Free(bounds=(0.01, 0.1), scale="log10"),
            "c": costate.Free(bounds=(0.3, 1.2), scale="log10"),
            "d": costate.Free(bounds=(0.01, 0.1), scale="log10"),
            "hare": costate.Free(bounds=(10, 100), scale="log10"),
            "lynx": costate.Free(bounds=(1, 20), scale="log10"),
        },
        t=(0, 20),
        **TOLERANCES,
        **options,
    )


def kill_in_the_middle(server, job):
    """Waits until the job has done a part of its work, and kills the server."""
    for p in job.progress(bar=False):
        if p.iterations > 5 * p.starts > 0 and p.starts_done < p.starts:
            os.kill(server.pid, signal.SIGKILL)
            return p
    raise SystemExit("the long fit was over before the server could be killed; raise --long")


def print_result(title, result, *more):
    print(f"\n{title}\n\n{result}")
    for line in more:
        print(f"  {line}")


def ratio(result, over, under):
    """Quotient of two estimates, and its standard error from their covariance."""
    i, j = result.names.index(over), result.names.index(under)
    value = result[over] / result[under]
    gradient = np.zeros(len(result.names))
    gradient[i], gradient[j] = 1 / result[under], -value / result[under]
    known = np.nan_to_num(result.covariance)
    return value, np.sqrt(gradient @ known @ gradient)


def draw(folder, influenza, hare_lynx, many):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        "influenza.png": influenza.plot_fit(labels=LABELS, time_label="day"),
        "hare_lynx.png": hare_lynx.plot_fit(labels=LABELS, time_label="years since 1900"),
        "waterfall.png": many.plot_waterfall(),
    }
    titles = {
        "influenza.png": "Influenza in a boarding school of 763 boys, 1978",
        "hare_lynx.png": "Hare and lynx around the Hudson Bay",
        "waterfall.png": f"Hare and lynx from {len(many.starts)} starts",
    }
    for name, axes in pictures.items():
        ax = np.ravel(axes)[0]
        ax.set_title(titles[name], loc="left")
        ax.figure.savefig(folder / name, dpi=150)
        plt.close(ax.figure)
    return [folder / name for name in pictures]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("."))
    parser.add_argument("--data-directory", type=pathlib.Path, help="default: a temporary one")
    parser.add_argument("--long", type=int, default=3000, help="starts of the long fit")
    options = parser.parse_args()

    with contextlib.ExitStack() as stack:
        folder = options.data_directory
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="costate-demo-"))
        client = stack.enter_context(costate.local(data_directory=folder))
        print(f"costated {client.server_info().version} answers at {client.address}.")
        print(f"Its jobs are in {folder}.\n")
        begin = time.monotonic()
        fast = [
            fit_influenza(client, starts=STARTS, seed=1, name="influenza"),
            fit_hare_lynx(client, starts=STARTS, seed=1, name="hare and lynx"),
        ]
        long = fit_hare_lynx(client, starts=options.long, seed=2, name="hare and lynx, long")
        print("Queued:")
        for job in (*fast, long):
            print(f"  {job.name}  {job.display_name}")
        print()

        at = kill_in_the_middle(client.server, long)
        print(f"Killed the server, process {client.server.pid}, with signal 9:")
        print(
            f"  the long fit had done {at.iterations:,} iterations, "
            f"{at.starts_done} of its {at.starts} starts were at their end."
        )
        client.server.restart()
        print(f"Started another one on the same directory, process {client.server.pid}.\n")

        # The same jobs, found again by name, as from any other machine.
        influenza, hare_lynx = (client.job(job.name).result(timeout=60) for job in fast)
        many = client.job(long.name).result(timeout=300, bar=None)
        seconds = time.monotonic() - begin
        attempts = client.job(long.name).attempts
        print(
            f"All three are done, {seconds:.1f} s after they were queued; "
            f"the long one took {attempts} attempts."
        )

        r0, error = ratio(influenza, "b", "k")
        print_result(
            "Influenza: b infections a day per ill boy, k recoveries a day",
            influenza,
            f"R0 = b/k = {r0:.3f} +- {error:.3f}; ill for {1 / influenza['k']:.2f} days",
        )
        print_result("Hare and lynx", hare_lynx)
        print_result(f"The same from {options.long} starts", many)
        agree = abs(many.objective - hare_lynx.objective) < 1e-6 * abs(hare_lynx.objective)
        print("\nThe killed fit and the other " + ("agree." if agree else "DO NOT AGREE."))
        drawn = draw(options.output, influenza, hare_lynx, many)
    print("Drew " + ", ".join(map(str, drawn)) + ". The server is stopped.")
    print(
        "Next: change data, bounds or noise at the head of\n"
        f"  {pathlib.Path(__file__).resolve()}\n"
        "or keep a server and its jobs: `costated --data-directory=jobs`, then from anywhere\n"
        "  job = costate.connect().fit(...); print(job.name)\n"
        "  costate jobs list; costate jobs watch NAME; costate jobs result NAME"
    )


if __name__ == "__main__":
    main()
