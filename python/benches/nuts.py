"""CPU seconds of four NUTS chains of blackjax, 2,500 draws after 500 of warm-up each, on three posteriors of examples/, compilation left out.

    pip install blackjax "jax[cpu]"
    python python/benches/nuts.py            # one thread; beside it: time pushforward train examples/posteriors/ark.toml --method flow
"""

import os

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import json
import time
from pathlib import Path

import blackjax
import jax
import jax.numpy as jnp
from jax.scipy.stats import cauchy, norm

jax.config.update("jax_enable_x64", True)
EXAMPLES = Path(__file__).parents[2] / "examples"
CHAINS, WARMUP, DRAWS = 4, 500, 2500


def data(place):
    return {key: jnp.array(value) for key, value in json.loads((EXAMPLES / place).read_text()).items()}


def eight_schools():
    d = data("posteriors/eight-schools.json")

    def log_density(u):
        mu, tau, z = u[0], jnp.exp(u[1]), u[2:]
        prior = norm.logpdf(mu, 0, 5) + cauchy.logpdf(tau, 0, 5) + u[1] + norm.logpdf(z).sum()
        return prior + norm.logpdf(d["y"], mu + tau * z, d["sigma"]).sum()

    return log_density, 10


def ark():
    y = data("posteriors/ark.json")["y"]
    lags = jnp.stack([y[5 - k : len(y) - k] for k in range(1, 6)], axis=1)

    def log_density(u):
        alpha, beta, sigma = u[0], u[1:6], jnp.exp(u[6])
        prior = norm.logpdf(u[:6], 0, 10).sum() + cauchy.logpdf(sigma, 0, 2.5) + u[6]
        return prior + norm.logpdf(y[5:], alpha + lags @ beta, sigma).sum()

    return log_density, 7


def garch():
    y = data("stan-library/garch.json")["y"]

    def log_density(u):
        a, b = jax.nn.sigmoid(u[2]), jax.nn.sigmoid(u[3])
        mu, a0, a1, b1 = u[0], jnp.exp(u[1]), a, (1 - a) * b
        jacobian = u[1] + jnp.log(a) + 2 * jnp.log1p(-a) + jnp.log(b) + jnp.log1p(-b)

        def step(variance, y):
            return a0 + a1 * (y - mu) ** 2 + b1 * variance, norm.logpdf(y, mu, jnp.sqrt(variance))

        return jacobian + jax.lax.scan(step, jnp.var(y), y)[1].sum()

    return log_density, 4


def chain(log_density):
    warm_up = blackjax.window_adaptation(blackjax.nuts, log_density)

    def run(key, start):
        first, second = jax.random.split(key)
        (state, found), _ = warm_up.run(first, start, num_steps=WARMUP)
        step = blackjax.nuts(log_density, **found).step

        def one(state, key):
            state, info = step(key, state)
            return state, (state.position, info.num_integration_steps, info.is_divergent)

        return jax.lax.scan(one, state, jax.random.split(second, DRAWS))[1]

    return run


def sequential(f):
    return lambda x: jax.lax.map(lambda pair: f(*pair), x)


def together(f):
    return lambda x: jax.vmap(f)(*x)


for name, model in [("eight-schools", eight_schools), ("ark", ark), ("garch", garch)]:
    log_density, dim = model()
    for way in (sequential, together):
        compiled = None
        for seed in range(3):
            keys = jax.random.split(jax.random.key(seed), CHAINS + 1)
            start = (keys[1:], jax.random.uniform(keys[0], (CHAINS, dim), minval=-2, maxval=2))
            if compiled is None:
                begun = time.process_time()
                compiled = jax.jit(way(chain(log_density))).lower(start).compile()
                print(f"{name}, {way.__name__}: compiled in {time.process_time() - begun:.2f} s of CPU", flush=True)
            begun = time.process_time()
            x, leaps, divergent = jax.block_until_ready(compiled(start))
            seconds = time.process_time() - begun
            ess = blackjax.diagnostics.effective_sample_size(x).min()
            r_hat = blackjax.diagnostics.potential_scale_reduction(x).max()
            print(
                f"{name}, {way.__name__}, seed {seed}: {seconds:.2f} s of CPU, least ESS {ess:.0f}, R-hat {r_hat:.4f}, "
                f"{leaps.mean():.1f} leapfrog steps a draw, {divergent.sum()} divergent",
                flush=True,
            )
