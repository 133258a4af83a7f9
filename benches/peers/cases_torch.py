"""The cases in PyTorch, at its best on a CPU."""

import functools
import math
import os

import torch
import torch.nn.functional as F
from torch import nn

COMPILE = os.environ.get("PEERS_COMPILE", "1") == "1"
DTYPES = {"float32": torch.float32, "float64": torch.float64}
NETS = {"2-128x3-2": (2, 128, 128, 128, 2), "64-256x3-64": (64, 256, 256, 256, 64)}


def start(threads):
    torch.set_num_threads(threads)


def constant(n, d, h):
    return -math.log(n) - d * math.log(h * math.sqrt(2 * math.pi))


def attention(y, x, h):
    """The estimate as fused attention over (y, 1), (x, -|x|^2/2): log-sum-exp and mean in one pass, nothing of size N x N."""
    q = torch.cat([y, torch.ones(len(y), 1)], 1)
    k = torch.cat([x, -0.5 * (x * x).sum(1, keepdim=True)], 1)
    v = torch.cat([x, torch.ones(len(x), 1)], 1)
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    o, lse = flash(*(t[None, None] for t in (q, k, v)), 0.0, False, scale=1 / (h * h))
    logp = lse.reshape(-1)[: len(y)] - (y * y).sum(1) / (2 * h * h)
    return logp + constant(*x.shape, h), (o[0, 0, :, :-1] - y) / (h * h)


def explicit(y, x, h):
    """The same with the matrix in memory; compiled."""
    a = 1 / (2 * h * h)
    e = torch.addmm((x * x).sum(1) * -a, y, x.t(), alpha=2 * a) - (y * y).sum(1, keepdim=True) * a
    return torch.logsumexp(e, 1) + constant(*x.shape, h), (torch.softmax(e, 1) @ x - y) / (h * h)


def blocked(y, x, h, block=256):
    """Blocks that stay in cache, one exponential, no underflow in it."""
    a = 1 / (2 * h * h)
    bias, x1 = (x * x).sum(1) * -a, torch.cat([x, torch.ones(len(x), 1)], 1)
    logp, score = torch.empty(len(y)), torch.empty_like(y)
    for i in range(0, len(y), block):
        b = y[i : i + block]
        e = torch.addmm(bias, b, x.t(), alpha=2 * a)
        m = e.amax(1, keepdim=True)
        s = e.sub_(m).clamp_min_(-80.0).exp_() @ x1
        logp[i : i + block] = (m + s[:, -1:].log())[:, 0] - a * (b * b).sum(1)
        score[i : i + block] = (s[:, :-1] / s[:, -1:] - b) / (h * h)
    return logp + constant(*x.shape, h), score


def svgd_sums(x, b, w, c):
    """(1/n) sum_j k b_j + c x sum_j k over n rows, k = exp(-|x_i - x_j|^2/w), as fused attention whose normaliser comes back."""
    q = torch.cat([x, torch.ones(len(x), 1)], 1)
    k = torch.cat([x, -0.5 * (x * x).sum(1, keepdim=True)], 1)
    v = torch.cat([b, torch.ones(len(x), 1)], 1)
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    o, lse = flash(*(t[None, None] for t in (q, k, v)), 0.0, False, scale=2 / w)
    mass = (lse.reshape(-1)[: len(x)] - (x * x).sum(1) / w).exp()[:, None] / len(x)
    return mass * (o[0, 0, :, :-1] + c * x)


def svgd_matrix(x, b, w, c):
    """The same with the matrix in memory."""
    x2 = (x * x).sum(1)
    k = torch.addmm(x2 * (-1 / w), x, x.t(), alpha=2 / w).sub_((x2 / w)[:, None]).clamp_min_(-80.0).exp_()
    s = k @ torch.cat([b, torch.ones(len(x), 1)], 1)
    return (s[:, :-1] + c * x * s[:, -1:]) / len(x)


def svgd_compiled(x, b, w, c):
    d2 = (x[:, None, :] - x[None, :, :]).square().sum(-1)
    k = torch.exp(d2 * (-1 / w))
    return (k @ b + c * x * k.sum(1, keepdim=True)) / len(x)


def svgd_blocked(x, b, w, c, block=256):
    """Blocks that stay in cache."""
    x2, b1, out = (x * x).sum(1), torch.cat([b, torch.ones(len(x), 1)], 1), torch.empty_like(x)
    bias = x2 * (-1 / w)
    for i in range(0, len(x), block):
        y = x[i : i + block]
        k = torch.addmm(bias, y, x.t(), alpha=2 / w).sub_((x2[i : i + block] / w)[:, None]).clamp_min_(-80.0).exp_()
        s = k @ b1
        out[i : i + block] = (s[:, :-1] + c * y * s[:, -1:]) / len(x)
    return out


def median_width(x):
    """The median rule over all pairs, as ours."""
    return float(torch.pdist(x).median() ** 2) / math.log(len(x))


def svgd_ways(x, width):
    """The SVGD velocity towards N(0, I): b_j = s_j - (2/w) x_j, so that one product gives attraction and repulsion."""

    def velocity(f):
        with torch.no_grad():
            w = width or median_width(x)
            return f(x, -x - (2 / w) * x, w, 2 / w)

    ways = {"attention": svgd_sums, "blocked": svgd_blocked} | ({"matrix": svgd_matrix} if len(x) <= 8192 else {})
    if COMPILE and len(x) <= 8192:
        ways["compiled"] = torch.compile(svgd_compiled, dynamic=False)
    some = x[:512]
    plain = svgd_compiled(some.double(), some.double() * -5.0, 0.5, 4.0)
    for f in (svgd_sums, svgd_blocked, svgd_matrix):
        assert float((f(some, some * -5.0, 0.5, 4.0) - plain).abs().max()) < 1e-4, f
    return {name: functools.partial(velocity, f) for name, f in ways.items()}


def network(dims):
    layers = []
    for a, b in zip(dims[:-1], dims[1:]):
        layers += [nn.Linear(a, b), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


def step(dims, z, v, compiled):
    net = network(dims)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

    def loss(z, v):
        x = net(z)
        return ((x - (x.detach() + v)) ** 2).mean()

    loss = torch.compile(loss, dynamic=False) if compiled else loss

    def one():
        optimiser.zero_grad(set_to_none=True)
        loss(z, v).backward()
        optimiser.step()

    return one


def ring8(x):
    """log p of eight Gaussians of variance 0.3 on a circle of radius 4, up to a constant."""
    angle = 2 * math.pi * torch.arange(8) / 8
    centres = 4 * torch.stack([angle.cos(), angle.sin()], 1)
    return torch.logsumexp((x[:, None] - centres).square().sum(-1) * (-0.5 / 0.3), 1)


class RealNVP(nn.Module):
    """Eight affine couplings of the plane that take turns."""

    def __init__(self):
        super().__init__()
        self.networks = nn.ModuleList(network((1, 64, 64, 2)) for _ in range(8))
        for n in self.networks:
            nn.init.zeros_(n[-1].weight)
            nn.init.zeros_(n[-1].bias)

    def forward(self, z):
        kept, moved, log_det = z[:, :1], z[:, 1:], 0.0
        for n in self.networks:
            a, b = n(kept).chunk(2, 1)
            kept, moved = moved * a.exp() + b, kept
            log_det = log_det + a[:, 0]
        return torch.cat([kept, moved], 1), log_det


def flow_step(n, compiled):
    """A step of reverse KL by the reparametrised gradient."""
    flow = RealNVP()
    optimiser = torch.optim.Adam(flow.parameters(), lr=1e-3, fused=True)

    def loss(z):
        x, log_det = flow(z)
        return (-0.5 * z.square().sum(1) - log_det - ring8(x)).mean()

    loss = torch.compile(loss, dynamic=False) if compiled else loss

    def one():
        optimiser.zero_grad(set_to_none=True)
        loss(torch.randn(n, 2)).backward()
        optimiser.step()

    return one


def normflows_step(n):
    """The same by normflows."""
    import normflows as nf

    layers = []
    for _ in range(8):
        conditioner = network((1, 64, 64, 2))
        nn.init.zeros_(conditioner[-1].weight)
        nn.init.zeros_(conditioner[-1].bias)
        layers += [nf.flows.AffineCouplingBlock(conditioner), nf.flows.Permute(2, mode="swap")]
    target = type("Target", (), {"log_prob": staticmethod(ring8)})()
    model = nf.NormalizingFlow(nf.distributions.base.DiagGaussian(2, trainable=False), layers, target)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def one():
        optimiser.zero_grad(set_to_none=True)
        model.reverse_kld(n).backward()
        optimiser.step()

    return one


def flow_ways(n):
    ways = {"eager": flow_step(n, False)} | ({"compiled": flow_step(n, True)} if COMPILE else {})
    try:
        ways["normflows"] = normflows_step(n)
    except ImportError:  # optional
        pass
    return ways


BLUR, ITERATIONS = 0.05, 100


def sinkhorn_ways(x, y):
    """The gradient of S_eps at eps = BLUR^2 in x: plain loops in the log domain, and geomloss where it is installed, whose schedule from the
    diameter down gets as many steps."""

    def log_sum_exp(m):  # torch's exp in float32 is many times slower below -87
        top = m.amax(1, keepdim=True)
        return (top + (m - top).clamp_min_(-80.0).exp_().sum(1, keepdim=True).log_())[:, 0]

    def gradient(a, b):
        n, m = len(a), len(b)
        cost = torch.cdist(a, b).square() / (-2 * BLUR**2)
        turned = cost.t().contiguous()
        f, g = torch.zeros(n), torch.zeros(m)
        for _ in range(ITERATIONS):
            g = math.log(n) - log_sum_exp(turned + f)
            f = math.log(m) - log_sum_exp(cost + g)
        plan = (cost + f[:, None] + g).clamp_min_(-80.0).exp_() / (n * m)
        return plan.sum(1, keepdim=True) * a - plan @ b

    def loops():
        with torch.no_grad():
            return gradient(x, y) - gradient(x, x)

    ways = {"loops": loops}
    try:
        from geomloss import SamplesLoss
    except ImportError:  # optional
        return ways
    diameter = 8.0
    scaling = (BLUR / diameter) ** (1.0 / (ITERATIONS - 2))

    def geomloss(backend):
        loss = SamplesLoss("sinkhorn", p=2, blur=BLUR, scaling=scaling, diameter=diameter, backend=backend)

        def call():
            moving = x.detach().requires_grad_(True)
            return torch.autograd.grad(loss(moving, y), moving)[0]

        return call

    ways["geomloss, tensorized"] = geomloss("tensorized")
    try:
        online = geomloss("online")
        online()
        ways["geomloss, online"] = online
    except Exception:  # it needs pykeops and a compiler
        pass
    return ways


@functools.cache
def build(name, dtype, net, n, d, width):
    torch.set_default_dtype(DTYPES[dtype])
    torch.manual_seed(0)
    if name == "kde":
        x, y, h = torch.randn(n, d), torch.randn(n, d), n ** (-1 / (d + 4))
        ways = {"attention": attention, "blocked": blocked}
        if n == 1024 and COMPILE:  # larger matrices never won, and a compilation takes ten seconds
            ways["compiled"] = torch.compile(explicit, dynamic=False)

        def run(f):
            with torch.no_grad():
                return f(y, x, h)

        check(attention(y[:64], x, h), explicit(y[:64].double(), x.double(), h), dtype)
        return {k: functools.partial(run, f) for k, f in ways.items()}
    if name == "realnvp":
        return flow_ways(n)
    if name == "sinkhorn":
        return sinkhorn_ways(torch.randn(n, 2), 0.5 * torch.randn(n, 2) + 1)
    if name == "svgd":
        return svgd_ways(torch.randn(n, d), width)
    dims = NETS[net]
    if name == "step":
        z, v = torch.randn(n, dims[0]), 0.1 * torch.randn(n, dims[-1])
        return {"eager": step(dims, z, v, False)} | ({"compiled": step(dims, z, v, True)} if COMPILE else {})
    if name == "sample":
        plain = network(dims)
        def draw(f):
            with torch.no_grad():
                return f(torch.randn(n, dims[0]))

        ways = {"eager": lambda: draw(plain)}
        if COMPILE:
            compiled = torch.compile(plain)
            ways["compiled"] = lambda: draw(compiled)
        return ways
    raise ValueError(name)


def check(found, exact, dtype):
    """The estimate is right to the rounding of |x - y|^2/h^2."""
    worst = max(float((f - e).abs().max() / e.abs().max()) for f, e in zip(found, exact))
    assert worst < (2e-2 if dtype == "float32" else 1e-8), worst


def ways(name, r):
    dtype = r.get("dtype", "float32")
    torch.set_default_dtype(DTYPES[dtype])
    n = int(r.get("n", r.get("batch", 1024)))
    width = float(r["width"]) if "width" in r else None
    return build(name, dtype, r.get("net", ""), n, int(r.get("d", 2)), width)
