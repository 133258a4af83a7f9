"""The cases in JAX, compiled by XLA."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

NETS = {"2-128x3-2": (2, 128, 128, 128, 2), "64-256x3-64": (64, 256, 256, 256, 64)}


def start(threads):
    del threads  # XLA read it from the environment


def estimate(y, x, h):
    a = 1 / (2 * h * h)
    e = 2 * a * y @ x.T - a * (x * x).sum(1) - a * (y * y).sum(1, keepdims=True)
    lse = jax.nn.logsumexp(e, axis=1)
    score = (jnp.exp(e - lse[:, None]) @ x - y) / (h * h)
    return lse - math.log(len(x)) - x.shape[1] * math.log(h * math.sqrt(2 * math.pi)), score


@functools.partial(jax.jit, static_argnums=2)
def whole(y, x, h):
    return estimate(y, x, h)


@functools.partial(jax.jit, static_argnums=2)
def blocked(y, x, h):
    lp, s = jax.lax.map(lambda b: estimate(b, x, h), y.reshape(-1, 256, y.shape[1]))
    return lp.reshape(-1), s.reshape(y.shape)


def initial(dims, rng, dtype):
    return [(jnp.asarray(rng.standard_normal((a, b)) / np.sqrt(a), dtype), jnp.zeros(b, dtype)) for a, b in zip(dims[:-1], dims[1:])]


def apply(parameters, z):
    for w, b in parameters[:-1]:
        z = jax.nn.silu(z @ w + b)
    w, b = parameters[-1]
    return z @ w + b


def step(dims, z, v, rng):
    optimiser = optax.adam(1e-3)
    state = [initial(dims, rng, z.dtype)]
    state.append(optimiser.init(state[0]))

    def loss(parameters, z, v):
        x = apply(parameters, z)
        return ((x - jax.lax.stop_gradient(x + v)) ** 2).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def update(parameters, moments, z, v):
        change, moments = optimiser.update(jax.grad(loss)(parameters, z, v), moments)
        return optax.apply_updates(parameters, change), moments

    def one():
        state[:] = jax.block_until_ready(update(*state, z, v))

    return one


@functools.cache
def build(name, dtype, net, n, d):
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.standard_normal(shape), dtype)
    if name == "kde":
        x, y, h = draw(n, d), draw(n, d), n ** (-1 / (d + 4))
        wait = jax.block_until_ready
        return {"whole": lambda: wait(whole(y, x, h)), "blocked": lambda: wait(blocked(y, x, h))}
    dims = NETS[net]
    if name == "step":
        return {"jit": step(dims, draw(n, dims[0]), 0.1 * draw(n, dims[-1]), rng)}
    if name == "sample":
        parameters, key = initial(dims, rng, dtype), jax.random.key(0)
        f = jax.jit(lambda p, k: apply(p, jax.random.normal(k, (n, dims[0]), dtype)))
        return {"jit": lambda: f(parameters, key).block_until_ready()}
    raise ValueError(name)


def ways(name, r):
    dtype = r.get("dtype", "float32")
    jax.config.update("jax_enable_x64", dtype == "float64")
    n = int(r.get("n", r.get("batch", 1024)))
    return build(name, dtype, r.get("net", ""), n, int(r.get("d", 2)))
