"""The whole gmm40 run in PyTorch: codes, stratified batches, KDE drift, Adam; the same numbers of steps and particles as the library.

The library gives a particle without neighbours a wider bandwidth, from a ladder; here all have one, which is less work.
"""

import json
import math
import sys
import time

begin = time.perf_counter()
from setup_env import limit

limit(int(sys.argv[1]))
import numpy as np
import torch
from torch import nn

import gmm40 as g

torch.set_num_threads(g.THREADS)
torch.manual_seed(g.SEED)
means, std = g.target()
centre, scale = g.frame(means, std)
modes = torch.tensor((means - centre) / scale, dtype=torch.float32)
sigma = std / scale

codes = nn.Parameter(torch.randn(g.CODES, 2))
net = nn.Sequential(
    nn.Linear(4, g.WIDTH), nn.SiLU(), nn.Linear(g.WIDTH, g.WIDTH), nn.SiLU(), nn.Linear(g.WIDTH, g.WIDTH), nn.SiLU(), nn.Linear(g.WIDTH, 2)
)
with torch.no_grad():
    for layer in net[::2]:
        layer.weight.normal_().mul_(layer.in_features**-0.5)
        layer.bias.zero_()
optimiser = torch.optim.Adam([codes, *net.parameters()], lr=g.RATE, fused=True)
logits = torch.zeros(g.CODES)
flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def stratified(n):
    u = (torch.arange(n) + torch.rand(1)) / n
    k = torch.searchsorted(torch.softmax(logits, 0).cumsum(0), u).clamp_max(g.CODES - 1)
    return k, torch.randn(n, 2)


def generate(k, z):
    c = codes[k]
    return c + g.NOISE * z + g.REACH * net(torch.cat([c, z], 1))


def moments(y, x, h):
    """log sum k and sum k x / sum k by fused attention."""
    q = torch.cat([y, torch.ones(len(y), 1)], 1)
    k = torch.cat([x, -0.5 * (x * x).sum(1, keepdim=True)], 1)
    v = torch.cat([x, torch.ones(len(x), 1)], 1)
    o, lse = flash(*(t[None, None] for t in (q, k, v)), 0.0, False, scale=1 / (h * h))
    return lse.reshape(-1)[: len(y)] - (y * y).sum(1) / (2 * h * h), o[0, 0, :, :-1]


def neighbours(y, x, h):
    return torch.exp(2 * moments(y, x, h)[0] - moments(y, x, h / math.sqrt(2))[0])


def resolved(x, y):
    return g.resolved(lambda h: neighbours(y, x, h).quantile(0.75) >= g.NEIGHBOURS)


def drift(particles, reference, h):
    y = particles + h * torch.randn_like(particles)
    one, mean = moments(y, reference, h)
    two, mean2 = moments(y, reference, h / math.sqrt(2))
    inverse = torch.exp(two - 2 * one)  # 1/m
    log_q = one - math.log(len(reference)) - math.log(2 * math.pi * h * h) + 0.5 * (inverse - 1 / len(reference))
    score_q = (mean - y) / (h * h) + (mean2 - mean) / (h * h) * inverse[:, None]
    v = sigma**2 + h * h
    e = torch.cdist(y, modes).square() * (-0.5 / v)
    log_p = torch.logsumexp(e, 1) - math.log(40 * 2 * math.pi * v)
    score_p = (torch.softmax(e, 1) @ modes - y) / v
    ratio = log_p - log_q
    ratio = ratio - (torch.logsumexp(ratio, 0) - math.log(len(ratio)))
    trust = (1 / inverse / g.NEIGHBOURS).clamp_max(1.0)
    beta = score_p - trust[:, None] * score_q
    beta = beta * (g.LARGEST / h / beta.norm(dim=1, keepdim=True)).clamp_max(1.0)
    phi = 1 - ratio.clamp(-g.CLIP, g.CLIP)
    return beta, (phi.mean() - phi).clamp(-4, 4)


floor, first = 0.0, None
for step in range(g.STEPS):
    optimiser.param_groups[0]["lr"] = g.rate(step)
    k, z = stratified(g.BATCH)
    particles = generate(k, z)
    with torch.no_grad():
        reference = generate(*stratified(g.REFERENCE))
        if step % 50 == 0:
            floor = resolved(reference, particles[::4])
        beta, growth = drift(particles, reference, max(g.bandwidth(step), floor))
        cotangent = -beta / (beta.square().mean().sqrt() * len(beta))
    optimiser.zero_grad(set_to_none=True)
    particles.backward(cotangent)
    optimiser.step()
    with torch.no_grad():
        sums = torch.zeros(g.CODES).index_add_(0, k, growth)
        counts = torch.bincount(k, minlength=g.CODES).clamp_min(1)
        logits = logits + g.REACTION * sums / counts
        logits = (logits - logits.mean()).clamp(-3, 3)
    first = first or time.perf_counter() - begin

seconds = time.perf_counter() - begin
with torch.no_grad():
    k = torch.multinomial(torch.softmax(logits, 0), 10000, replacement=True)
    x = generate(k, torch.randn(10000, 2)).numpy() * scale + centre
print(json.dumps({"seconds": seconds, "first_step_s": first, "tv": g.total_variation(x, means)}))
