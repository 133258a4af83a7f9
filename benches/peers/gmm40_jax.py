"""The whole gmm40 run in JAX, one compiled step; as gmm40_torch.py in all else."""

import functools
import json
import math
import sys
import time

begin = time.perf_counter()
from setup_env import limit

limit(int(sys.argv[1]))
import jax
import jax.numpy as jnp
import numpy as np
import optax

import gmm40 as g

means, std = g.target()
centre, scale = g.frame(means, std)
modes = jnp.asarray((means - centre) / scale, jnp.float32)
sigma = std / scale
widths = (4, g.WIDTH, g.WIDTH, g.WIDTH, 2)
rng = np.random.default_rng(g.SEED)
draw = lambda *shape: jnp.asarray(rng.standard_normal(shape), jnp.float32)
parameters = {"codes": draw(g.CODES, 2), "net": [(draw(a, b) / math.sqrt(a), jnp.zeros(b)) for a, b in zip(widths[:-1], widths[1:])]}
optimiser = optax.scale_by_adam()
moments_state = optimiser.init(parameters)


def stratified(key, logits, n):
    a, b = jax.random.split(key)
    u = (jnp.arange(n) + jax.random.uniform(a)) / n
    k = jnp.searchsorted(jnp.cumsum(jax.nn.softmax(logits)), u).clip(0, g.CODES - 1)
    return k, jax.random.normal(b, (n, 2))


def generate(p, k, z):
    c = p["codes"][k]
    x = jnp.concatenate([c, z], 1)
    for w, b in p["net"][:-1]:
        x = jax.nn.silu(x @ w + b)
    w, b = p["net"][-1]
    return c + g.NOISE * z + g.REACH * (x @ w + b)


def energies(y, x, h):
    return (2 * y @ x.T - (x * x).sum(1) - (y * y).sum(1, keepdims=True)) / (2 * h * h)


def drift(key, particles, reference, h):
    y = particles + h * jax.random.normal(key, particles.shape)
    e = energies(y, reference, h)
    top = e.max(1, keepdims=True)
    k = jnp.exp(e - top)
    s1, s2 = k.sum(1), (k * k).sum(1)
    mean, mean2 = k @ reference / s1[:, None], (k * k) @ reference / s2[:, None]
    inverse = s2 / (s1 * s1)
    log_q = top[:, 0] + jnp.log(s1) - math.log(len(reference)) - jnp.log(2 * math.pi * h * h) + 0.5 * (inverse - 1 / len(reference))
    score_q = (mean - y) / (h * h) + (mean2 - mean) / (h * h) * inverse[:, None]
    v = sigma**2 + h * h
    e = -0.5 * ((y[:, None] - modes) ** 2).sum(-1) / v
    log_p = jax.nn.logsumexp(e, axis=1) - jnp.log(40 * 2 * math.pi * v)
    score_p = (jax.nn.softmax(e, 1) @ modes - y) / v
    ratio = log_p - log_q
    ratio = ratio - (jax.nn.logsumexp(ratio) - math.log(len(ratio)))
    trust = jnp.minimum(1 / inverse / g.NEIGHBOURS, 1.0)
    beta = score_p - trust[:, None] * score_q
    beta = beta * jnp.minimum(g.LARGEST / h / jnp.linalg.norm(beta, axis=1, keepdims=True), 1.0)
    phi = 1 - jnp.clip(ratio, -g.CLIP, g.CLIP)
    return beta, jnp.clip(phi.mean() - phi, -4, 4)


@functools.partial(jax.jit, donate_argnums=(0, 1, 2))
def update(p, state, logits, key, h, rate):
    a, b, c = jax.random.split(key, 3)
    k, z = stratified(a, logits, g.BATCH)
    particles, pull_back = jax.vjp(lambda p: generate(p, k, z), p)
    reference = generate(p, *stratified(b, logits, g.REFERENCE))
    beta, growth = drift(c, particles, reference, h)
    gradient = pull_back(-beta / (jnp.sqrt((beta * beta).mean()) * len(beta)))[0]
    change, state = optimiser.update(gradient, state)
    p = jax.tree.map(lambda x, d: x - rate * d, p, change)
    sums = jnp.zeros(g.CODES).at[k].add(growth)
    counts = jnp.maximum(jnp.bincount(k, length=g.CODES), 1)
    logits = logits + g.REACTION * sums / counts
    return p, state, jnp.clip(logits - logits.mean(), -3, 3)


@jax.jit
def quartile(p, logits, key, h):
    a, b = jax.random.split(key)
    e = energies(generate(p, *stratified(a, logits, 256)), generate(p, *stratified(b, logits, g.REFERENCE)), h)
    top = e.max(1, keepdims=True)
    k = jnp.exp(e - top)
    return jnp.quantile(k.sum(1) ** 2 / (k * k).sum(1), 0.75)


def resolved(p, logits, key):
    return g.resolved(lambda h: quartile(p, logits, key, h) >= g.NEIGHBOURS)


logits, key, floor, first = jnp.zeros(g.CODES), jax.random.key(g.SEED), 0.0, None
for step in range(g.STEPS):
    key, sub = jax.random.split(key)
    if step % 50 == 0:
        floor = resolved(parameters, logits, sub)
    h = max(g.bandwidth(step), floor)
    parameters, moments_state, logits = update(parameters, moments_state, logits, sub, h, g.rate(step))
    if first is None:
        jax.block_until_ready(parameters)
        first = time.perf_counter() - begin
jax.block_until_ready(parameters)
seconds = time.perf_counter() - begin
k = jax.random.categorical(jax.random.key(g.SEED + 100), logits, shape=(10000,))
x = np.asarray(generate(parameters, k, jax.random.normal(jax.random.key(g.SEED + 200), (10000, 2)))) * scale + centre
print(json.dumps({"seconds": seconds, "first_step_s": first, "tv": float(g.total_variation(x, means))}))
