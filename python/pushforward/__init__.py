"""One-step samplers for densities known only up to a constant, trained without data.

>>> import numpy as np, pushforward
>>> def banana(x):                                     # (n, 2) → (n,), (n, 2)
...     a, b = x[:, 0], x[:, 1]
...     value = -(a**2 + 4 * (b - a**2) ** 2) / 2
...     return value, np.stack([-a + 8 * a * (b - a**2), -4 * (b - a**2)], axis=1)
>>> posterior = pushforward.train(banana, 2, method="flow")    # doctest: +SKIP
>>> posterior.certificate.log_z, posterior.summary.mean        # doctest: +SKIP
"""

from ._engines import on_dask, on_executor, split
from ._errors import DensityError, Error, InputError, Interrupted, NotToBeTrusted, RunError
from ._posterior import Certificate, Moments, Parameter, Posterior, Summary
from ._run import Run, Target, from_file, from_formula, from_function, from_stan_library, load, resume, train

__version__ = "0.1.0"

__all__ = [
    "Certificate",
    "DensityError",
    "Error",
    "InputError",
    "Interrupted",
    "Moments",
    "NotToBeTrusted",
    "Parameter",
    "Posterior",
    "Run",
    "RunError",
    "Summary",
    "Target",
    "from_file",
    "from_formula",
    "from_function",
    "from_stan_library",
    "load",
    "on_dask",
    "on_executor",
    "resume",
    "split",
    "train",
]
