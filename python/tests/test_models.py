"""The models of examples/posteriors that carry a state or a factorisation along, in JAX."""

import json
import runpy

import numpy as np
import pytest

import pushforward
from conftest import FAR, ROOT

PLACE = ROOT / "examples/posteriors"


@pytest.mark.parametrize("name", ["arma", "garch", "hmm", "process"])
def test_models_in_jax(name):
    """Checks that flows of default settings, stopped at 300 steps, have the reference's means and deviations to 0.1 deviations and the errors of
    both; the references are by Hamiltonian Monte Carlo on the same models in C, or as a formula."""
    jax = pytest.importorskip("jax")
    model = runpy.run_path(str(PLACE / f"{name}.py"))
    batched = jax.jit(jax.vmap(jax.value_and_grad(model["log_density"])))
    posterior = pushforward.train(batched, parameters=model["parameters"], method="flow", steps=300, progress=False)
    reference = json.loads((PLACE / "reference.json").read_text())[name]["columns"]
    compared = 0
    for column, truth in reference.items():
        found = posterior.summary.get(column)
        if found is not None:
            compared += 1
            error = FAR * np.hypot(found.reweighted.mcse, truth["mean_mcse"])
            assert abs(found.reweighted.mean - truth["mean"]) <= 0.1 * truth["sd"] + error, column
            assert abs(found.reweighted.sd / truth["sd"] - 1) <= 0.1 + FAR * truth["sd_mcse"] / truth["sd"], column
    assert compared >= 3
