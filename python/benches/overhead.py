"""What a call costs beside the function's own time: here, and on a local Dask cluster. `python benches/overhead.py`"""

import time

import numpy as np
from distributed import Client, LocalCluster

import pushforward
from pushforward._density import Adapter

ROWS, DIM = 512, 2


def density(x):
    """A standard Gaussian."""
    return -0.5 * np.sum(x**2, 1), -x


def least(call, repeats):
    """Seconds of the fastest of so many calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    x = np.random.default_rng(0).normal(size=(ROWS, DIM))
    adapter, points = Adapter(density), x.tobytes()
    own = least(lambda: density(x), 2000)
    print(f"copies and checks of a batch of {ROWS}x{DIM}: {1e6 * (least(lambda: adapter(points, ROWS, True), 2000) - own):.1f} us")
    with LocalCluster(n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None) as cluster, Client(cluster) as client:
        client.wait_for_workers(3)
        for rows in (8, 32, 64, 256):
            function = pushforward.on_dask(client, density, rows)
            part = least(lambda: function(x), 25) / -(-ROWS // rows)
            # a batch takes n t here, and n t / 3 and a share of every part there
            print(f"parts of {rows:3} rows: {1e3 * part:.1f} ms a part; even at {1e3 * part / rows / (1 - 1 / 3):.3f} ms a row")


if __name__ == "__main__":
    main()
