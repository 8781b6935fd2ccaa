"""A thousand epidemics in one call: how the peak depends on how infectious the illness is.

python ensemble.py
"""

import costate
import numpy as np

MODEL = """
model sir
param b = 1.66 in [0, 10]
param k = 0.44 in [0, 10]
state s = 762
state i = 1
state r = 0
let n = s + i + r
s' = -b*s*i/n
i' =  b*s*i/n - k*i
r' =  k*i
"""


def main():
    rates = np.linspace(0.5, 3.0, 1000)
    days = np.linspace(0, 60, 601)
    with costate.local() as client:
        # The array has one axis more than the parameter: a batch.
        sol = client.solve(
            costate.Model(MODEL), t=(0, 60), save_at=days, params={"b": rates}, outputs=False
        )
    print(sol)
    peak = sol["i"].max(axis=1)
    when = days[sol["i"].argmax(axis=1)]
    print("\n     b     R0   peak of ill boys   on day   never ill")
    for index in range(99, 1000, 100):
        never = sol["s"][index, -1]
        print(
            f"  {rates[index]:4.2f}  {rates[index] / 0.44:5.2f}   {peak[index]:16.1f}"
            f"   {when[index]:6.1f}   {never:9.1f}"
        )


if __name__ == "__main__":
    main()
