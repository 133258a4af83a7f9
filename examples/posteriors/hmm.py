"""Two hidden states: y_t ~ N(mu_k, 1) in state k, which stays with probability stay_k; the forward recursion sums over all paths."""

import json
from pathlib import Path

import jax, jax.numpy as jnp, pushforward

jax.config.update("jax_enable_x64", True)
y = jnp.array(json.loads((Path(__file__).parents[1] / "stan-library/hmm.json").read_text())["y"])
parameters = {"mu": {"size": 2, "support": "ordered"}, "stay": {"size": 2, "support": [0, 1]}}


def log_density(x):
    mu, stay = x[:2], x[2:]
    moves = jnp.log(jnp.array([[stay[0], 1 - stay[0]], [1 - stay[1], stay[1]]]))
    seen = -0.5 * (y[:, None] - mu) ** 2
    step = lambda a, seen: (jax.nn.logsumexp(a[:, None] + moves, axis=0) + seen, None)
    last = jax.lax.scan(step, seen[0], seen[1:])[0]
    positive = jnp.where(mu[0] > 0, 0.0, -jnp.inf)
    return positive + jax.nn.logsumexp(last) - 0.5 * ((mu - jnp.array([3.0, 10.0])) ** 2).sum()


if __name__ == "__main__":
    batched = jax.jit(jax.vmap(jax.value_and_grad(log_density)))
    print(pushforward.train(batched, parameters=parameters, method="flow").summary)
