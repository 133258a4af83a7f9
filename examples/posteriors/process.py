"""Poisson counts of a Gaussian process, y_i ~ Poisson(exp(level + f_i)), f = L z, L the Cholesky factor of any covariance."""

import json
from pathlib import Path

import jax, jax.numpy as jnp, pushforward

jax.config.update("jax_enable_x64", True)
data = json.loads((Path(__file__).parent / "process.json").read_text())
x, y = jnp.array(data["x"]), jnp.array(data["y"])
parameters = {"rho": {"support": "positive"}, "alpha": {"support": "positive"}, "level": {}, "z": {"size": len(y)}}


def log_density(p):
    rho, alpha, level, z = p[0], p[1], p[2], p[3:]
    prior = 24 * jnp.log(rho) - 4 * rho - (alpha**2 + level**2) / 8 - 0.5 * z @ z
    covariance = alpha**2 * jnp.exp(-jnp.abs(x[:, None] - x) / rho)
    rate = level + jnp.linalg.cholesky(covariance) @ z
    return prior + y @ rate - jnp.exp(rate).sum()


if __name__ == "__main__":
    batched = jax.jit(jax.vmap(jax.value_and_grad(log_density)))
    print(pushforward.train(batched, parameters=parameters, method="flow").summary)
