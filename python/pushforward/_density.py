"""The batched function of the user as the core asks it: bytes in, bytes out, every mistake in a sentence."""

from __future__ import annotations

from typing import Any, Callable, Optional, Tuple

import numpy as np

from ._errors import DensityError

Batched = Callable[[np.ndarray], Tuple[Any, Any]]


def numbers(value: Any, what: str, shape: Tuple[int, ...]) -> np.ndarray:
    """``value`` as float64 of this shape; ``what`` is its name in messages."""
    try:
        array = np.asarray(value)
    except Exception as error:
        kind = type(value).__name__
        raise DensityError(f"{what} is a {kind} that is no array ({error}); return a NumPy array") from error
    if array.dtype.kind not in "fiu":
        raise DensityError(f"{what} has dtype {array.dtype}; return real numbers, such as float64")
    if array.shape != shape:
        raise DensityError(f"{what} has shape {array.shape}, not {shape}; return one entry for each of the points")
    return np.ascontiguousarray(array, dtype=np.float64)


class Adapter:
    """Calls the function with an (n, d) array and checks what it returns."""

    def __init__(self, function: Batched, log_density: Optional[Callable[[np.ndarray], Any]] = None):
        self.function = function
        self.log_density = log_density

    def __call__(self, points: bytes, rows: int, score: bool) -> Tuple[bytes, bytes]:
        # a copy: the function may write to its argument
        x = np.frombuffer(points, dtype=np.float64).reshape(rows, -1).copy()
        shape = x.shape
        alone = self.log_density if not score else None
        name = "log_density" if alone is not None else "log_density_and_score"
        try:
            answer = (alone or self.function)(x)
        except Exception as error:
            kind = type(error).__name__
            raise DensityError(f"{name} raised {kind}: {error} (at a batch of {rows} points)") from error
        if alone is not None:
            return numbers(answer, "the log-density", (rows,)).tobytes(), b""
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            kind = type(answer).__name__
            raise DensityError(f"{name} returned a {kind}; return two arrays, (log p of shape (n,), score of shape (n, d))")
        values = numbers(answer[0], "the log-density", (rows,))
        # the score of a log-density that is asked for alone was checked when it was asked for
        scores = numbers(answer[1], "the score", shape).tobytes() if score else b""
        return values.tobytes(), scores
