"""GARCH(1,1): y_t ~ N(mu, v_t), v_t = a0 + a1 (y_{t-1} - mu)² + b1 v_{t-1}, v_1 the variance of y; flat priors."""

import json
from pathlib import Path

import jax, jax.numpy as jnp, pushforward

jax.config.update("jax_enable_x64", True)
y = jnp.array(json.loads((Path(__file__).parents[1] / "stan-library/garch.json").read_text())["y"])
parameters = {"mu": {}, "a0": {"support": "positive"}, "a1": {"support": [0, 1]}, "share": {"support": [0, 1]}}


def log_density(x):
    mu, a0, a1, share = x
    b1 = share * (1 - a1)  # below 1 - a1; its density is that of the share over 1 - a1
    step = lambda v, square: (a0 + a1 * square + b1 * v, -0.5 * (square / v + jnp.log(v)))
    return jax.lax.scan(step, y.var(), (y - mu) ** 2)[1].sum() + jnp.log(1 - a1)


if __name__ == "__main__":
    batched = jax.jit(jax.vmap(jax.value_and_grad(log_density)))
    print(pushforward.train(batched, parameters=parameters, method="flow").summary)
