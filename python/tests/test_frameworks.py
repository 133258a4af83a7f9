"""Densities of JAX and PyTorch with their own gradients; each test needs its package."""

import numpy as np
import pytest

import pushforward
from conftest import is_posterior_of


def test_jax(gaussian):
    """Checks that the flow of a density in JAX, whose score is JAX's gradient, has its log Z, means and deviations."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    mean, precision = jax.numpy.array(gaussian.mean), jax.numpy.array(gaussian.precision)

    def log_density(x):
        return gaussian.constant - 0.5 * (x - mean) @ precision @ (x - mean)

    batched = jax.jit(jax.vmap(jax.value_and_grad(log_density)))
    posterior = pushforward.train(batched, 2, method="flow", steps=300, seed=2, progress=False)
    is_posterior_of(gaussian, posterior)


def test_torch(gaussian):
    """Checks the same for PyTorch, and the sentence for a tensor that still wants its gradient."""
    torch = pytest.importorskip("torch")
    mean, precision = torch.tensor(gaussian.mean), torch.tensor(gaussian.precision)

    def value(x):
        return gaussian.constant - 0.5 * torch.einsum("ni,ij,nj->n", x - mean, precision, x - mean)

    def batched(x):
        x = torch.tensor(x, requires_grad=True)
        values = value(x)
        (score,) = torch.autograd.grad(values.sum(), x)
        return values.detach(), score

    posterior = pushforward.train(batched, 2, method="flow", steps=300, seed=3, progress=False)
    is_posterior_of(gaussian, posterior)

    def attached(x):
        x = torch.tensor(x, requires_grad=True)
        values = value(x)
        return values, torch.autograd.grad(values.sum(), x)[0]

    with pytest.raises(pushforward.DensityError, match="the log-density is a Tensor that is no array"):
        pushforward.train(attached, 2, steps=2, progress=False)


def test_thread_local_state(gaussian):
    """Checks that PyTorch's thread-local switches are those of the caller."""
    torch = pytest.importorskip("torch")
    seen = []

    def batched(x):
        seen.append(torch.is_grad_enabled())
        return gaussian(x)

    with torch.no_grad():
        pushforward.train(batched, 2, method="flow", steps=3, progress=False)
    assert seen and not any(seen)


def test_np_errstate(gaussian):
    """Checks that NumPy's state is the caller's as well."""
    seen = []

    def batched(x):
        seen.append(np.geterr()["divide"])
        return gaussian(x)

    with np.errstate(divide="raise"):
        pushforward.train(batched, 2, method="flow", steps=3, progress=False)
    assert set(seen) == {"raise"}
