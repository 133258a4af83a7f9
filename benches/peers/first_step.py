"""One training step of 2-128x3-2, batch 1,024, from a fresh process.

    python first_step.py torch
"""

import sys


def torch_step():
    import torch
    from torch import nn

    net = nn.Sequential(
        nn.Linear(2, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 2)
    )
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    x = net(torch.randn(1024, 2))
    ((x - x.detach() - 0.1) ** 2).mean().backward()
    optimiser.step()


def jax_step():
    import jax
    import jax.numpy as jnp
    import optax

    keys = jax.random.split(jax.random.key(0), 5)
    widths = (2, 128, 128, 128, 2)
    parameters = [(0.1 * jax.random.normal(k, s), jnp.zeros(s[1])) for k, s in zip(keys, zip(widths[:-1], widths[1:]))]
    optimiser = optax.adam(1e-3)

    def loss(parameters, z):
        for w, b in parameters[:-1]:
            z = jax.nn.silu(z @ w + b)
        w, b = parameters[-1]
        x = z @ w + b
        return ((x - jax.lax.stop_gradient(x) - 0.1) ** 2).mean()

    @jax.jit
    def step(parameters, state, z):
        change, state = optimiser.update(jax.grad(loss)(parameters, z), state)
        return optax.apply_updates(parameters, change), state

    jax.block_until_ready(step(parameters, optimiser.init(parameters), jax.random.normal(keys[4], (1024, 2))))


{"torch": torch_step, "jax": jax_step}[sys.argv[1]]()
