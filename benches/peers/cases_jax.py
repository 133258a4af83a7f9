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


def step(parameters, apply, z, v):
    optimiser = optax.adam(1e-3)
    state = [parameters, optimiser.init(parameters)]

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


PARTICLES, DIM, FEATURES, LAYERS, BUMPS, FARTHEST, NEAR = 13, 3, 64, 3, 32, 64.0, 0.25


def helmert(n):
    """An orthonormal basis of what has mean 0, (n - 1) x n."""
    rows = [[1.0] * i + [-i] + [0.0] * (n - 1 - i) for i in range(1, n)]
    return np.array([np.array(r) / np.linalg.norm(r) for r in rows])


def equivariant_parameters(rng, dtype):
    def layer(last):
        shapes = dict(sender=(FEATURES, FEATURES), distance=(BUMPS, FEATURES), message=(FEATURES, FEATURES))
        out = {k: jnp.asarray(rng.standard_normal(s) / np.sqrt(s[0]), dtype) for k, s in shapes.items()}
        out |= {k: jnp.zeros(FEATURES, dtype) for k in ("distance_bias", "message_bias")} | {"move": jnp.zeros((FEATURES, 1), dtype)}
        if not last:
            out["node"] = jnp.asarray(rng.standard_normal((2 * FEATURES, FEATURES)) / np.sqrt(2 * FEATURES), dtype)
            out["node_bias"] = jnp.zeros(FEATURES, dtype)
        return out

    return jnp.asarray(rng.standard_normal((1, FEATURES)), dtype), [layer(k + 1 == LAYERS) for k in range(LAYERS)]


def equivariant(parameters, z, how):
    """y + the field of ours (`nn/equivariant.rs`): a message for each unordered pair. The sums over the pairs of a particle are products
    with the incidence matrix, or by index; "all" has a message for each ordered pair in place of indices."""
    features, layers = parameters
    basis = jnp.asarray(np.kron(helmert(PARTICLES), np.eye(DIM)), z.dtype)
    start = x = (z @ basis).reshape(-1, PARTICLES, DIM)
    h = jnp.broadcast_to(features, (len(z), PARTICLES, FEATURES))
    first, second = np.triu_indices(PARTICLES, 1)
    ends = np.eye(PARTICLES)[first], np.eye(PARTICLES)[second]
    both, signed = (jnp.asarray(m, z.dtype) for m in (ends[0] + ends[1], ends[0] - ends[1]))
    if how == "all":
        of = lambda a: a[:, :, None] + a[:, None, :]
        apart_of = lambda a: a[:, :, None] - a[:, None, :]
        spread = gained = lambda m: m.sum(2)
    elif how == "products":
        of, apart_of = (lambda a: jnp.einsum("pn,bnw->bpw", both, a)), (lambda a: jnp.einsum("pn,bnw->bpw", signed, a))
        spread, gained = (lambda m: jnp.einsum("pn,bpw->bnw", both, m)), (lambda m: jnp.einsum("pn,bpw->bnw", signed, m))
    else:
        of, apart_of = (lambda a: a[:, first] + a[:, second]), (lambda a: a[:, first] - a[:, second])
        zero = lambda m: jnp.zeros((len(z), PARTICLES, m.shape[-1]), z.dtype)
        spread = lambda m: zero(m).at[:, first].add(m).at[:, second].add(m)
        gained = lambda m: zero(m).at[:, first].add(m).at[:, second].add(-m)
    delta = math.log1p(FARTHEST / NEAR) / (BUMPS - 1)
    centres = delta * jnp.arange(BUMPS, dtype=z.dtype)
    # a particle has no message to itself
    others = (1 - jnp.eye(PARTICLES, dtype=z.dtype))[:, :, None] if how == "all" else 1
    for p in layers:
        apart = apart_of(x)
        square = (apart * apart).sum(-1, keepdims=True)
        bumps = jnp.exp((jnp.log1p(square / NEAR) - centres) ** 2 * (-0.5 / delta**2))
        m = jax.nn.silu(of(h @ p["sender"]) + bumps @ p["distance"] + p["distance_bias"])
        m = jax.nn.silu(m @ p["message"] + p["message_bias"]) * others
        steeper = 1 + 10 / jnp.sqrt(1 + 100 * square)
        x = x + gained(apart * steeper * (m @ p["move"])) / (PARTICLES - 1)
        if "node" in p:
            both_of = jnp.concatenate([h, spread(m) / (PARTICLES - 1)], -1)
            h = h + jax.nn.silu(both_of @ p["node"] + p["node_bias"])
    return z + (x - start).reshape(len(z), -1) @ basis.T


def equivariant_ways(z, v, rng):
    parameters = equivariant_parameters(rng, z.dtype)
    # with other matrices than the first ones, which move nothing
    moving = jax.tree.map(lambda p: p + 0.1, parameters)
    ways = ("indices", "products", "all")
    found = [equivariant(moving, z[:4], how) for how in ways]
    assert all(float(jnp.abs(f - found[0]).max() / jnp.abs(found[0]).max()) < 1e-3 for f in found)
    copy = lambda: jax.tree.map(jnp.copy, parameters)
    return {how: step(copy(), functools.partial(equivariant, how=how), z, v) for how in ways}


def ring8(x):
    """log p of eight Gaussians of variance 0.3 on a circle of radius 4, up to a constant."""
    angle = 2 * jnp.pi * jnp.arange(8, dtype=x.dtype) / 8
    centres = 4 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], 1)
    return jax.nn.logsumexp(((x[..., None, :] - centres) ** 2).sum(-1) * (-0.5 / 0.3), axis=-1)


def coupling(parameters, kept, moved):
    u = apply(parameters, kept)
    return moved * jnp.exp(u[:, :1]) + u[:, 1:], u[:, 0]


def unrolled(parameters, z):
    kept, moved, log_det = z[:, :1], z[:, 1:], 0.0
    for p in parameters:
        new, a = coupling(p, kept, moved)
        kept, moved, log_det = new, kept, log_det + a
    return jnp.concatenate([kept, moved], 1), log_det


def scanned(parameters, z):
    """The couplings as one loop over stacked parameters."""

    def one(carry, p):
        kept, moved, log_det = carry
        new, a = coupling(p, kept, moved)
        return (new, kept, log_det + a), None

    (kept, moved, log_det), _ = jax.lax.scan(one, (z[:, :1], z[:, 1:], jnp.zeros_like(z[:, 0])), parameters)
    return jnp.concatenate([kept, moved], 1), log_det


def advancing(update, *state):
    """A step on donated buffers: each goes on from what the last one returned."""
    state = list(state)

    def one():
        state[:] = jax.block_until_ready(update(*state))

    return one


def flow_step(n, dtype, rng, stacked):
    """A step of reverse KL by the reparametrised gradient."""
    optimiser = optax.adam(1e-3)
    forward = scanned if stacked else unrolled

    def loss(parameters, z):
        x, log_det = forward(parameters, z)
        return (-0.5 * (z * z).sum(1) - log_det - ring8(x)).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def update(parameters, moments, key):
        key, own = jax.random.split(key)
        gradient = jax.grad(loss)(parameters, jax.random.normal(own, (n, 2), dtype))
        change, moments = optimiser.update(gradient, moments)
        return optax.apply_updates(parameters, change), moments, key

    parameters = [initial((1, 64, 64, 2), rng, dtype) for _ in range(8)]
    for p in parameters:
        p[-1] = (jnp.zeros_like(p[-1][0]), p[-1][1])
    if stacked:
        parameters = jax.tree.map(lambda *leaves: jnp.stack(leaves), *parameters)
    return advancing(update, parameters, optimiser.init(parameters), jax.random.key(0))


def flowjax_step(n, dtype):
    """The same by flowjax."""
    import equinox as eqx
    import paramax
    from flowjax.bijections import Affine
    from flowjax.distributions import Normal
    from flowjax.flows import coupling_flow

    flow = coupling_flow(
        jax.random.key(0),
        base_dist=paramax.non_trainable(Normal(jnp.zeros(2, dtype))),
        transformer=Affine(),
        flow_layers=8,
        nn_width=64,
        nn_depth=2,
        nn_activation=jax.nn.silu,
        invert=False,
    )
    optimiser = optax.adam(1e-3)
    parameters, static = eqx.partition(
        flow, eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable)
    )

    def loss(parameters, key):
        x, log_q = paramax.unwrap(eqx.combine(parameters, static)).sample_and_log_prob(key, (n,))
        return (log_q - ring8(x)).mean()

    @eqx.filter_jit(donate="all")
    def update(parameters, moments, key):
        key, own = jax.random.split(key)
        change, moments = optimiser.update(eqx.filter_grad(loss)(parameters, own), moments)
        return eqx.apply_updates(parameters, change), moments, key

    return advancing(update, parameters, optimiser.init(parameters), jax.random.key(0))


def flow_ways(n, dtype, rng):
    ways = {name: flow_step(n, dtype, rng, name == "scanned") for name in ("unrolled", "scanned")}
    try:
        ways["flowjax"] = flowjax_step(n, dtype)
    except ImportError:  # optional
        pass
    return ways


def sinkhorn_ways(x, y):
    """The gradient of S_eps at eps = 0.05^2 in x after 100 iterations for each plan, by ott."""
    from ott.geometry import costs, pointcloud
    from ott.tools import sinkhorn_divergence

    def half(x, batch):  # its cost is |x - y|^2
        limits = dict(min_iterations=100, max_iterations=100, inner_iterations=10, threshold=-1.0)
        settings = dict(cost_fn=costs.SqEuclidean(), epsilon=2 * 0.05**2, batch_size=batch, symmetric_sinkhorn=False)
        value, _ = sinkhorn_divergence.sinkhorn_divergence(pointcloud.PointCloud, x, y, solve_kwargs=limits, **settings)
        return 0.5 * value

    def way(batch):
        gradient = jax.jit(jax.grad(functools.partial(half, batch=batch)))
        return lambda: gradient(x).block_until_ready()

    ways = {"ott": way(None)}
    try:
        blocks = way(256)
        blocks()
        ways["ott, blocks of 256"] = blocks
    except AttributeError:  # some versions do not go with some of JAX
        pass
    return ways


def svgd_ways(x, width):
    """The SVGD velocity towards N(0, I): b_j = s_j - (2/w) x_j, so that one product gives attraction and repulsion."""

    def rows(y, x, w):
        x2 = (x * x).sum(1)
        k = jnp.exp((2 * y @ x.T - x2 - (y * y).sum(1, keepdims=True)) / w)
        s = k @ jnp.concatenate([-x - (2 / w) * x, jnp.ones((len(x), 1), x.dtype)], 1)
        return (s[:, :-1] + (2 / w) * y * s[:, -1:]) / len(x)

    def chosen(x):  # the median rule over all pairs, as ours
        if width:
            return width
        x2 = (x * x).sum(1)
        square = jnp.maximum(x2 + x2[:, None] - 2 * x @ x.T, 0)
        return jnp.median(square[jnp.triu_indices(len(x), 1)]) / math.log(len(x))

    whole = jax.jit(lambda x: rows(x, x, chosen(x)))

    @jax.jit
    def blocked(x):
        w = chosen(x)
        return jax.lax.map(lambda y: rows(y, x, w), x.reshape(-1, 256, x.shape[1])).reshape(x.shape)

    ways = {"blocked": lambda: blocked(x).block_until_ready()}
    return ways | ({"whole": lambda: whole(x).block_until_ready()} if len(x) <= 8192 else {})


@functools.cache
def build(name, dtype, net, n, d, width):
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.standard_normal(shape), dtype)
    if name == "kde":
        x, y, h = draw(n, d), draw(n, d), n ** (-1 / (d + 4))
        wait = jax.block_until_ready
        return {"whole": lambda: wait(whole(y, x, h)), "blocked": lambda: wait(blocked(y, x, h))}
    if name == "realnvp":
        return flow_ways(n, dtype, rng)
    if name == "sinkhorn":
        return sinkhorn_ways(draw(n, 2), 0.5 * draw(n, 2) + 1)
    if name == "svgd":
        return svgd_ways(draw(n, d), width)
    if net.startswith("particles"):
        d = (PARTICLES - 1) * DIM
        return equivariant_ways(draw(n, d), 0.1 * draw(n, d), rng)
    dims = NETS[net]
    if name == "step":
        return {"jit": step(initial(dims, rng, dtype), apply, draw(n, dims[0]), 0.1 * draw(n, dims[-1]))}
    if name == "sample":
        parameters, key = initial(dims, rng, dtype), jax.random.key(0)
        f = jax.jit(lambda p, k: apply(p, jax.random.normal(k, (n, dims[0]), dtype)))
        return {"jit": lambda: f(parameters, key).block_until_ready()}
    raise ValueError(name)


def ways(name, r):
    dtype = r.get("dtype", "float32")
    jax.config.update("jax_enable_x64", dtype == "float64")
    n = int(r.get("n", r.get("batch", 1024)))
    width = float(r["width"]) if "width" in r else None
    return build(name, dtype, r.get("net", ""), n, int(r.get("d", 2)), width)
