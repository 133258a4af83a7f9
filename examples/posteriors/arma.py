"""ARMA(1,1): y_t = mu + phi y_{t-1} + theta e_{t-1} + e_t, e_t ~ N(0, sigma²), begun at y_0 = mu, e_0 = 0."""

import json
from pathlib import Path

import jax, jax.numpy as jnp, pushforward

jax.config.update("jax_enable_x64", True)
y = jnp.array(json.loads((Path(__file__).parents[1] / "stan-library/arma.json").read_text())["y"])
parameters = {"mu": {}, "phi": {}, "theta": {}, "sigma": {"support": "positive"}}


def log_density(x):
    mu, phi, theta, sigma = x
    prior = -(mu**2) / 200 - (phi**2 + theta**2) / 8 - jnp.log1p((sigma / 2.5) ** 2)
    before = jnp.concatenate([mu[None], y[:-1]])
    step = lambda e, pair: 2 * (pair[0] - mu - phi * pair[1] - theta * e,)
    e = jax.lax.scan(step, 0.0, (y, before))[1]
    return prior - 0.5 * (e**2).sum() / sigma**2 - len(y) * jnp.log(sigma)


if __name__ == "__main__":
    batched = jax.jit(jax.vmap(jax.value_and_grad(log_density)))
    print(pushforward.train(batched, parameters=parameters, method="flow").summary)
