"""Batches on other processes: the bits of the same split here, whatever dies on the way."""

import concurrent.futures
import multiprocessing
import os
import pathlib
import signal
import time

import numpy as np
import pytest

import pushforward
from conftest import SMALL, Gaussian

#: Batches of 1,500 are cut into three parts; those of the search, which has some thousand points, into more.
ROWS = 700
BATCHES = {**SMALL, "steps": 20, "batch": 1500}


def density(x):
    """The Gaussian, in a module that other processes can import."""
    return Gaussian()(x)


#: Parts that this process computed.
computed = 0


class Dies:
    """The Gaussian; the first process that has computed more than so many parts is killed, once."""

    def __init__(self, folder, after):
        self.died, self.after = pathlib.Path(folder) / "died", after

    def __call__(self, x):
        global computed
        computed += 1
        if computed > self.after and not self.died.exists():
            self.died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return density(x)


@pytest.fixture(scope="module")
def here():
    """The run with the same split of rows, in this process."""
    return pushforward.train(pushforward.split(density, ROWS), 2, name="g", **BATCHES)


def same(one, other):
    return all(one._files[name] == other._files[name] for name in ["model.safetensors", "samples.npy", "log_weights.npy"])


def test_order_and_arguments():
    """Checks that parts come back in the order of the rows whichever ends first, and the sentences for wrong arguments."""

    def slow_at_first(x):
        time.sleep(0.05 if x[0, 0] == 0 else 0)
        return x[:, 0], x

    x = np.arange(20.0).reshape(10, 2)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for rows in (1, 3, 10, 99):
            values, scores = pushforward.on_executor(pool, slow_at_first, rows)(x)
            assert np.array_equal(values, x[:, 0]) and np.array_equal(scores, x)
        with pytest.raises(pushforward.InputError, match="rows = 0"):
            pushforward.on_executor(pool, slow_at_first, 0)
        with pytest.raises(pushforward.InputError, match="retries = -1"):
            pushforward.on_executor(pool, slow_at_first, 3, retries=-1)

        def fails(x):
            raise LookupError("lost")

        with pytest.raises(LookupError, match="lost"):
            pushforward.on_executor(pool, fails, 3)(x)
    with pytest.raises(pushforward.InputError, match="no executor"):
        pushforward.on_executor(7, slow_at_first, 3)


def test_a_pool_whose_process_dies(here, tmp_path):
    """Checks that a pool of processes gives the bits of the split here, also where one is killed and the pool made anew; without a way to
    make one it is an error that leaves the run to go on."""
    context = multiprocessing.get_context("spawn")

    def pool():
        return concurrent.futures.ProcessPoolExecutor(2, mp_context=context)

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    made = []

    def make():
        made.append(pool())
        return made[-1]

    there = pushforward.train(pushforward.on_executor(make, Dies(tmp_path / "a", 40), ROWS), 2, name="g", **BATCHES)
    assert same(there, here) and len(made) == 2 and (tmp_path / "a" / "died").exists()
    made[-1].shutdown()
    with pool() as once:
        function = pushforward.on_executor(once, Dies(tmp_path / "b", 40), ROWS)
        with pytest.raises(pushforward.DensityError, match="a process of the pool died") as caught:
            pushforward.train(function, 2, name="g", **BATCHES)
    assert caught.value.run is not None


def test_dask(here, tmp_path):
    """Checks that a local Dask cluster of three processes, one of them killed in mid-run, gives the bits of the split here."""
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    )
    with cluster, distributed.Client(cluster) as client:
        client.wait_for_workers(3)
        function = pushforward.on_dask(client, Dies(tmp_path, 40), rows=ROWS)
        there = pushforward.train(function, 2, name="g", **BATCHES)

        def fails(x):
            raise LookupError("lost")

        with pytest.raises(LookupError, match="lost"):
            pushforward.on_dask(client, fails, ROWS)(np.zeros((3, 2)))
    assert (tmp_path / "died").exists()
    assert same(there, here)
