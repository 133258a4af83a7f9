"""The model of a run in NumPy, from model.safetensors alone: a flow and its inverse, a generator.

docs/format.md has the formulas. As a script: python read_model.py RUN/model.safetensors prints what it holds.
"""
import json
import sys

import numpy as np


def load(path):
    """(tensors by name, metadata with JSON values parsed) of a safetensors file."""
    raw = open(path, "rb").read()
    size = int.from_bytes(raw[:8], "little")
    header, data = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    metadata = header.pop("__metadata__")
    kinds = {"F32": "<f4", "F64": "<f8"}
    tensors = {}
    for name, t in header.items():
        first, last = t["data_offsets"]
        tensors[name] = np.frombuffer(data[first:last], kinds[t["dtype"]]).astype("f8").reshape(t["shape"])
    for key in ("flow", "layers", "constants", "hidden", "equivariant", "config"):
        if key in metadata:
            metadata[key] = json.loads(metadata[key])
    return tensors, metadata


def factor(t):
    """L of the frame, x = c + L y: a lower triangular matrix, or a multiple of the identity."""
    d = len(t["frame.centre"])
    return t["frame.factor"].reshape(d, d) if "frame.factor" in t else t["frame.scale"][0] * np.eye(d)


def network(t, prefix, x):
    """A multilayer perceptron with x·sigmoid(x) in its hidden layers."""
    k = 1
    while f"{prefix}layer{k}.weight" in t:
        if k > 1:
            x = x / (1 + np.exp(-x))
        x = x @ t[f"{prefix}layer{k}.weight"] + t[f"{prefix}layer{k}.bias"].reshape(1, -1)
        k += 1
    return x


def splines(outputs, bins, reach, constants):
    """Knots in x and y and slopes of N splines, N×(K+1) each, from the network's N×(3K-1) outputs."""
    least, slope = constants["min_bin"], constants["min_slope"]

    def knots(u):
        share = np.exp(u - u.max(axis=1, keepdims=True))
        share = least + (1 - least * bins) * share / share.sum(axis=1, keepdims=True)
        start = np.zeros((len(u), 1))
        return np.hstack([start, np.cumsum(share, axis=1)]) * 2 * reach - reach

    inner = slope + np.logaddexp(0, outputs[:, 2 * bins :] + np.log(np.expm1(1 - slope)))
    one = np.ones((len(outputs), 1))
    return knots(outputs[:, :bins]), knots(outputs[:, bins : 2 * bins]), np.hstack([one, inner, one])


def spline(outputs, v, layer, constants, inverse):
    """Image and log slope of the forward map at the preimage; v: N numbers."""
    bins, reach = layer["bins"], layer["reach"]
    x, y, slopes = splines(outputs, bins, reach, constants)
    at, inside = np.clip(v, -reach, reach), np.abs(v) <= reach
    left = (y if inverse else x)[:, 1:-1]
    k = (left <= at[:, None]).sum(axis=1)
    pick = lambda m, j: m[np.arange(len(v)), j]
    x0, y0 = pick(x, k), pick(y, k)
    width, height = pick(x, k + 1) - x0, pick(y, k + 1) - y0
    d0, d1 = pick(slopes, k), pick(slopes, k + 1)
    sigma = height / width
    kappa = d1 + d0 - 2 * sigma
    if inverse:
        w = at - y0
        a, b, c = height * (sigma - d0) + w * kappa, height * d0 - w * kappa, -sigma * w
        t = -2 * c / (b + np.sqrt(np.maximum(b * b - 4 * a * c, 1e-30)))
        image = x0 + t * width
    else:
        t = (at - x0) / width
        image = y0 + height * (sigma * t**2 + d0 * t * (1 - t)) / (sigma + kappa * t * (1 - t))
    below = sigma + kappa * t * (1 - t)
    log_slope = 2 * np.log(sigma / below) + np.log(d1 * t**2 + 2 * sigma * t * (1 - t) + d0 * (1 - t) ** 2)
    return np.where(inside, image, v), np.where(inside, log_slope, 0.0)


def through(t, metadata, number, x, inverse):
    """Layer `number` (from 1) or its inverse at the rows of x, and log |det| of the forward map there."""
    layer, prefix, constants = metadata["layers"][number - 1], f"layer{number}.", metadata["constants"]
    d = x.shape[1]
    if layer["kind"] == "act-norm":
        a, b = t[prefix + "log_scale"].ravel(), t[prefix + "shift"].ravel()
        return ((x - b) * np.exp(-a) if inverse else x * np.exp(a) + b), np.full(len(x), a.sum())
    if layer["kind"] == "linear":
        c = t[prefix + "log_diagonal"].ravel()
        matrix = (np.tril(t[prefix + "lower"], -1) + np.eye(d)) @ (np.triu(t[prefix + "upper"], 1) + np.diag(np.exp(c)))
        return x @ (np.linalg.inv(matrix) if inverse else matrix), np.full(len(x), c.sum())
    kept = layer["kept"]
    moved = [j for j in range(d) if j not in kept]
    m = len(moved)
    # a coupling that keeps nothing has one row of outputs for all points
    outputs = network(t, prefix, x[:, kept]) if kept else np.repeat(t[prefix + "row"].reshape(1, -1), len(x), axis=0)
    y = x.copy()
    if layer["kind"] == "affine":
        reach = constants["affine_reach"]
        a, b = reach * np.tanh(outputs[:, :m] / reach), outputs[:, m:]
        y[:, moved] = (x[:, moved] - b) * np.exp(-a) if inverse else x[:, moved] * np.exp(a) + b
        return y, a.sum(axis=1)
    flat = outputs.reshape(len(x) * m, 3 * layer["bins"] - 1)
    image, log_slope = spline(flat, x[:, moved].ravel(), layer, constants, inverse)
    y[:, moved] = image.reshape(len(x), m)
    return y, log_slope.reshape(len(x), m).sum(axis=1)


def flow_forward(t, metadata, z):
    """x of points z of the base."""
    for number in range(1, len(metadata["layers"]) + 1):
        z, _ = through(t, metadata, number, z, False)
    return t["frame.centre"] + z @ factor(t).T


def flow_inverse(t, metadata, x):
    """z of x, and log q(x)."""
    lower = factor(t)
    z = np.linalg.solve(lower, (x - t["frame.centre"]).T).T
    log_det = np.full(len(x), np.log(np.diag(lower)).sum())
    for number in range(len(metadata["layers"]), 0, -1):
        z, one = through(t, metadata, number, z, True)
        log_det += one
    if "base.means" not in t:
        squares, constants = (z**2).sum(axis=1, keepdims=True), np.zeros((1, 1))
    else:
        means, scales, logits = t["base.means"], t["base.log_scales"], t["base.logits"].reshape(1, -1)
        squares = (((z[:, None, :] - means) * np.exp(-scales)) ** 2).sum(axis=2)
        constants = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True) - scales.sum(axis=1)
    base = np.logaddexp.reduce(constants - 0.5 * squares, axis=1) - 0.5 * z.shape[1] * np.log(2 * np.pi)
    return z, base - log_det


def on_particles(t, space, z):
    """The equivariant network at z (N×(n-1)k): what it adds to the coordinates of n particles in R^k with mean 0."""
    n, k = space
    basis = np.zeros((n - 1, n))
    for m in range(1, n):
        basis[m - 1, :m], basis[m - 1, m] = 1, -m
        basis[m - 1] /= np.sqrt(m * (m + 1))
    start = np.einsum("rmc,mi->ric", z.reshape(-1, n - 1, k), basis)
    i, j = np.triu_indices(n, 1)
    both = np.zeros((n, len(i)))
    both[i, range(len(i))] = both[j, range(len(i))] = 1
    away = both.copy()
    away[j, range(len(i))] = -1
    delta = np.log1p(256) / 31
    silu = lambda u: u / (1 + np.exp(-u))
    x, h, layer = start, np.broadcast_to(t["network.features"], start.shape[:2] + (t["network.features"].size,)), 1
    while f"network.layer{layer}.move" in t:
        p = lambda name: t[f"network.layer{layer}.{name}"]
        apart = x[:, i] - x[:, j]
        square = (apart**2).sum(-1, keepdims=True)
        bumps = np.exp(-((np.log1p(4 * square) - delta * np.arange(32)) ** 2) / (2 * delta**2))
        sent = h @ p("sender")
        first = silu(sent[:, i] + sent[:, j] + bumps @ p("distance") + p("distance_bias"))
        m = silu(first @ p("message") + p("message_bias"))
        x = x + np.einsum("ip,rpc->ric", away, apart * (1 + 10 / np.sqrt(1 + 100 * square)) * (m @ p("move"))) / (n - 1)
        if f"network.layer{layer}.node" in t:
            told = np.einsum("ip,rpw->riw", both, m) / (n - 1)
            h = h + silu(np.concatenate([h, told], axis=-1) @ p("node") + p("node_bias"))
        layer += 1
    return np.einsum("ric,mi->rmc", x - start, basis).reshape(len(z), -1)


def generator(t, metadata, z, xi=None, codes=None):
    """x = G(z): z is normal times sqrt(1 - h²), xi normal, codes (a row has one, or one of each block) drawn by softmax."""
    if "equivariant" in metadata:
        u = z + on_particles(t, metadata["equivariant"], z)
    elif codes is None:
        u = z + network(t, "network.", z)
    else:
        codes = codes.reshape(len(z), -1)
        net = network(t, "network.", np.hstack([t["network.codes"][codes].sum(1), z]))
        h, bend = t["latent.noise"][0], metadata["constants"]["bend"]
        u = z + t["network.shifts"][codes].sum(1) + (bend * np.tanh(net / bend) if h > 0 else net)
        u = u + h * xi if h > 0 else u
        k, d = t["latent.means"].shape
        factors = t["latent.factors"].reshape(k, d, d)[codes].sum(1)
        u = t["latent.means"][codes].sum(1) + np.einsum("nij,nj->ni", factors, u)
    return t["frame.centre"] + u @ factor(t).T


if __name__ == "__main__":
    tensors, metadata = load(sys.argv[1])
    for name, tensor in tensors.items():
        print(f"{name:28} {tensor.shape}")
    print({key: metadata[key] for key in ("format_version", "layers", "constants") if key in metadata})
