"""Rows of a batch on other processes and machines, in their order, so that a seed gives the same bits.

A function of the user may sum a batch in an order that depends on how many rows it has (BLAS does), so the split is part of what is
computed: :func:`split`, :func:`on_executor` and :func:`on_dask` with the same ``rows`` give the same bits, wherever the parts go.
"""

from __future__ import annotations

import concurrent.futures
from typing import Any, Callable, List, Optional, Tuple, Union

import numpy as np

from ._density import Batched
from ._errors import InputError, RunError

#: A part of an answer: log p and score.
Part = Tuple[np.ndarray, np.ndarray]


def _parts(x: np.ndarray, rows: int) -> List[np.ndarray]:
    return [x[start : start + rows] for start in range(0, len(x), rows)]


def _whole(parts: List[Part]) -> Part:
    values, scores = zip(*parts)
    return np.concatenate([np.asarray(v) for v in values]), np.concatenate([np.asarray(s) for s in scores])


def _checked(rows: int, retries: int) -> None:
    for name, value, least in (("rows", rows, 1), ("retries", retries, 0)):
        if not isinstance(value, (int, np.integer)) or value < least:
            raise InputError(f"{name} = {value}; give a whole number, at least {least}")


def split(function: Batched, rows: int) -> Batched:
    """The function called with at most ``rows`` rows at a time, here: what the engines below compute elsewhere."""
    _checked(rows, 0)
    return lambda x: _whole([function(part) for part in _parts(x, rows)])


def on_executor(
    executor: Union[concurrent.futures.Executor, Callable[[], concurrent.futures.Executor]],
    function: Batched,
    rows: int,
    retries: int = 3,
) -> Batched:
    """The function on the processes of an executor: anything with ``submit``, such as those of ``concurrent.futures`` and ``mpi4py.futures``.

    A batch is cut into parts of ``rows`` rows; the answers are put together in the order of the rows. A pool whose process has died takes
    no more work (``BrokenExecutor``): give a function without arguments that makes a pool, and a new one is made up to ``retries`` times a
    batch, for the parts that have no answer yet. What the function itself raises is raised at once.
    """
    _checked(rows, retries)
    make: Optional[Callable[[], Any]] = None if hasattr(executor, "submit") else executor 
    if make is None and not hasattr(executor, "submit") or make is not None and not callable(make):
        raise InputError(f"{executor!r} is no executor; give one with 'submit', or a function that makes one")
    current: List[Any] = [None if make else executor]

    def evaluate(x: np.ndarray) -> Part:
        parts = _parts(x, rows)
        done: List[Optional[Part]] = [None] * len(parts)
        for attempt in range(retries + 1):
            if current[0] is None:
                assert make is not None
                current[0] = make()
            futures: List[Tuple[int, Any]] = []
            try:
                for k, part in enumerate(parts):
                    if done[k] is None:
                        futures.append((k, current[0].submit(function, part)))
                for k, future in futures:
                    done[k] = future.result()
                return _whole([part for part in done if part is not None])
            except concurrent.futures.BrokenExecutor as error:
                # what other processes had finished is kept
                for k, future in futures:
                    if future.done() and not future.cancelled() and future.exception() is None:
                        done[k] = future.result()
                if make is None or attempt == retries:
                    how = "give a function that makes a pool, so that a new one can be made" if make is None else "look at what ends them"
                    raise RunError(f"a process of the pool died while it held rows ({error}); {how}") from error
                current[0] = None
            except BaseException:
                for _, future in futures:
                    future.cancel()
                raise
        raise AssertionError("every attempt returns or raises")

    return evaluate


def on_dask(client: Any, function: Batched, rows: int, retries: int = 3) -> Batched:
    """The function on the workers of a Dask cluster; ``client`` is a ``dask.distributed.Client``.

    A batch is cut into parts of ``rows`` rows; the answers are put together in the order of the rows. What a lost worker held is computed
    again by another one: by Dask's scheduler, and where that gives up (``KilledWorker``, a cancelled task) up to ``retries`` times by this
    function. What the function itself raises is raised at once.
    """
    _checked(rows, retries)

    def evaluate(x: np.ndarray) -> Part:
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        lost = (KilledWorker, FutureCancelledError, concurrent.futures.CancelledError)
        # without a key of its own a part that is asked for twice would be answered from memory: pure=False
        futures = [client.submit(function, part, pure=False) for part in _parts(x, rows)]
        left = retries
        done: List[Part] = []
        try:
            for k, part in enumerate(_parts(x, rows)):
                while True:
                    try:
                        done.append(futures[k].result())
                        break
                    except lost as error:
                        if left == 0:
                            raise RunError(f"workers were lost {retries + 1} times while they held rows ({error}); look at what ends them") from error
                        left -= 1
                        futures[k] = client.submit(function, part, pure=False)
        except BaseException:
            client.cancel(futures)
            raise
        return _whole(done)

    return evaluate
