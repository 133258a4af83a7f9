"""What a run leaves: the bits of the command, files, pickles, ArviZ."""

import multiprocessing
import pickle
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest

import pushforward
from conftest import ROOT, SMALL, command, run_command

FLAGS = ["--method", "flow", "--steps", "40", "--batch", "128", "--set", "model.couplings=2", "--set", "model.hidden=[16]"]
SAME = dict(method="flow", steps=40, batch=128, settings={"model.couplings": 2, "model.hidden": [16]}, progress=False)


def test_bits_of_the_command(tmp_path):
    """Checks that a run by the command and one from Python write the same bytes (configuration, model, samples, weights' figures), for a
    named target and a file with a formula, and that more samples are those of 'sample'."""
    (tmp_path / "mine.toml").write_text((ROOT / "examples/targets/himmelblau.toml").read_text())
    for target in ["banana", "mine.toml"]:
        run_command("train", target, *FLAGS, "--out", "theirs", "--force", folder=tmp_path)
        own = pushforward.train(target if target == "banana" else tmp_path / target, **SAME)
        loaded = pushforward.load(tmp_path / "theirs")
        for name in ["config.toml", "model.safetensors", "samples.npy"]:
            assert own._files[name] == loaded._files[name], name
        assert own.certificate == loaded.certificate and repr(own) == repr(loaded)
        run_command("sample", "theirs", "-n", 70_000, "--seed", 5, "-o", "more.npy", folder=tmp_path)
        assert np.array_equal(own.sample(70_000, seed=5), np.load(tmp_path / "more.npy"))
        own.save(tmp_path / "own", force=True)
        run_command("sample", "own", "-n", 70_000, "--seed", 5, "-o", "again.npy", folder=tmp_path)
        assert (tmp_path / "more.npy").read_bytes() == (tmp_path / "again.npy").read_bytes()
        np.save(tmp_path / "x.npy", own.samples[:50])
        run_command("logpdf", "own", "x.npy", "-o", "q.npy", folder=tmp_path)
        assert np.array_equal(own.log_prob(own.samples[:50]), np.load(tmp_path / "q.npy").reshape(-1))


def test_threads_change_no_bit(gaussian):
    """Checks that a function's run has the same bytes on 1 and 3 threads, and other samples under another seed."""
    runs = [pushforward.train(gaussian, 2, name="g", threads=threads, **SAME)._files for threads in (1, 3)]
    assert all(runs[0][name] == runs[1][name] for name in ["config.toml", "model.safetensors", "samples.npy", "log_weights.npy"])
    assert runs[0]["samples.npy"] != pushforward.train(gaussian, 2, name="g", seed=1, **SAME)._files["samples.npy"]


def test_a_function_saved_for_the_command(small, tmp_path):
    """Checks that the command samples from the model of a function, and says who can go on with it."""
    small.save(tmp_path / "run")
    run_command("sample", "run", "-n", 100, "-o", "more.csv", folder=tmp_path)
    drawn = np.loadtxt(tmp_path / "more.csv", delimiter=",", skiprows=1)
    assert np.array_equal(drawn, small.sample(100))
    done = subprocess.run([command(), "export", "run", "--format", "npz"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "only Python can call" in done.stderr


def test_saved_and_loaded(small, tmp_path):
    """Checks that a saved posterior comes back whole, that nothing is overwritten unasked, and that damage is refused."""
    small.save(tmp_path / "a")
    again = pushforward.load(tmp_path / "a")
    assert again._files == small._files and repr(again) == repr(small)
    with pytest.raises(pushforward.InputError, match="exists already"):
        small.save(tmp_path / "a")
    small.save(tmp_path / "a", force=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "years").write_text("of work")
    with pytest.raises(pushforward.InputError, match="not a run folder"):
        small.save(tmp_path / "thesis", force=True)
    with pytest.raises(pushforward.InputError, match="not a run folder"):
        pushforward.load(tmp_path / "thesis")
    model = tmp_path / "a" / "model.safetensors"
    content = bytearray(model.read_bytes())
    content[-3] ^= 1
    model.write_bytes(content)
    with pytest.raises(pushforward.InputError, match="checksum"):
        pushforward.load(tmp_path / "a")
    assert sorted(place.name for place in tmp_path.iterdir()) == ["a", "thesis"]


def _draw(posterior):
    return posterior.sample(200_000, seed=3)


def test_pickles(small):
    """Checks that a posterior comes through pickle, into processes that were forked after the pool had threads as well."""
    small.sample(100_000)
    again = pickle.loads(pickle.dumps(small))
    assert np.array_equal(again.sample(1000, 7), small.sample(1000, 7))
    assert np.array_equal(again.log_prob(again.samples), small.log_prob(small.samples))
    assert again.summary == small.summary and np.array_equal(again.weights, small.weights)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert np.array_equal(pool.apply_async(_draw, (small,)).get(timeout=60), _draw(small))


def test_figures(small, gaussian):
    """Checks summary, weights and certificate against what NumPy makes of the samples."""
    x, w = small.samples, small.weights
    assert x.shape == (10_000, 2) and w.shape == (10_000,) and small.dim == 2 and small.names == ["x1", "x2"]
    assert abs(w.sum() - 1) < 1e-12
    for k, name in enumerate(small.names):
        raw, reweighted = small.summary[name].raw, small.summary[name].reweighted
        assert np.isclose(raw.mean, x[:, k].mean(), rtol=1e-9, atol=1e-12) and np.isclose(raw.sd, x[:, k].std(), rtol=1e-9)
        assert np.isclose(reweighted.mean, w @ x[:, k], rtol=1e-9, atol=1e-12)
        assert np.mean(x[:, k] <= raw.q95) == pytest.approx(0.95, abs=1e-3)
    certificate = small.certificate
    assert certificate.ess == pytest.approx(1 / (len(w) * (w @ w)), rel=1e-9)
    assert certificate.log_z == pytest.approx(np.log(np.mean(np.exp(small.log_weights))), abs=1e-9)
    assert certificate.findings and np.isfinite(certificate.k_hat)
    assert small.summary.mean.shape == (2,) and small.summary.quantiles.shape == (2, 3)
    assert "log Z" in repr(small) and "x2" in repr(small.summary)
    assert small.unresolved.startswith("a mode in less than") and small.unresolved in repr(small)
    assert small.draws.shape == (10_000, 2) and small.use in ("samples", "resampled", "none")
    assert "<html" in small.report and 'kind = "python"' in small.config
    for wrong, sentence in [
        ([[1.0]], "shape"),
        (np.zeros(2), "shape"),
        ("points", "no array of numbers"),
        ([[np.nan, 0.0]], "row 0 of the points is not finite"),
    ]:
        with pytest.raises(pushforward.InputError, match=sentence):
            small.log_prob(wrong)
    for n, seed in [(0, 0), (-1, 0), (1.5, 0), (10, -1), (2**62, 0)]:
        with pytest.raises(pushforward.InputError):
            small.sample(n, seed)


def test_a_model_without_a_density():
    """Checks that a generator's log_prob says what to train instead, and that particles give as many as there are."""
    generator = pushforward.train("banana", method="kde-small", steps=5, progress=False)
    with pytest.raises(pushforward.InputError, match="generator, whose density is not known"):
        generator.log_prob(generator.samples)
    particles = pushforward.train("banana", method="particles", steps=3, settings={"particles": 200}, progress=False)
    with pytest.raises(pushforward.InputError, match="the run holds 200 particles"):
        particles.sample(201)


def test_formula_and_file(tmp_path):
    """Checks a formula with arrays as constants, named parameters and generated quantities, and the sentence of a mistake in it."""
    y = np.array([1.2, 0.4, 2.6, 1.9, 0.8])
    target = pushforward.from_formula(
        "normal_lpdf(y, mu, sigma) + normal_lpdf(mu, 0, 5) - sigma",
        parameters={"mu": {}, "sigma": {"support": "positive"}},
        constants={"y": y},
        generated={"ratio": "mu / sigma"},
    )
    assert target.names == ["mu", "sigma", "ratio"] and target.dim == 3
    posterior = pushforward.train(target, **SAME)
    assert np.allclose(posterior.samples[:, 2], posterior.samples[:, 0] / posterior.samples[:, 1])
    with pytest.raises(pushforward.InputError, match="column") as caught:
        pushforward.from_formula("x1^2 +* x2", dim=2)
    assert "^" in str(caught.value)
    with pytest.raises(pushforward.InputError, match="cannot read"):
        pushforward.from_file(tmp_path / "nothing.toml")


def test_stan_library(tmp_path):
    """Checks that a library runs only where it is trusted, that its samples have its constrained parameters, and that a pickle of them
    does not run it."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path / "normal.so"
    source = ROOT / "examples/stan-library/normal.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-lm"], check=True)
    with pytest.raises(pushforward.InputError, match="trust=True"):
        pushforward.from_stan_library(library, {"y": [1.0, 2.0]})
    target = pushforward.from_stan_library(library, {"y": np.array([1.2, 0.4, 2.6, 1.9, 0.8])}, trust=True)
    posterior = pushforward.train(target, **SAME)
    assert len(posterior.names) == 2 and np.all(posterior.samples[:, 1] > 0)
    assert np.array_equal(posterior.sample(10), posterior.samples[:10])
    posterior.save(tmp_path / "run")
    assert np.array_equal(pushforward.load(tmp_path / "run", trust=True).sample(10), posterior.sample(10))
    # the library that is open keeps its file
    library.unlink()
    library.write_bytes(b"not a library any more")
    again = pickle.loads(pickle.dumps(posterior))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unconstrained = again.sample(10)
    assert np.allclose(np.exp(unconstrained[:, 1]), posterior.samples[:10, 1])


def test_arviz(monkeypatch):
    """Checks that vectors become variables with a dimension, and the sentence where arviz is missing."""
    target = pushforward.from_function(
        lambda x: (-0.5 * np.sum(x**2, axis=1), -x), parameters={"mu": {}, "theta": {"size": 2}, "Z": {"size": [2, 1]}}
    )
    posterior = pushforward.train(target, **SAME)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "arviz", None)
        with pytest.raises(pushforward.InputError, match="pip install arviz"):
            posterior.to_arviz()
    pytest.importorskip("arviz")
    data = posterior.to_arviz()
    assert data["posterior"]["mu"].shape == (1, 10_000)
    assert data["posterior"]["theta"].shape == (1, 10_000, 2) and data["posterior"]["Z"].shape == (1, 10_000, 2, 1)
    assert np.array_equal(data["posterior"]["theta"].values[0, :, 1], posterior.draws[:, 2])
    assert data["posterior"].attrs["seed"] == 0 and "pareto_k" in data["posterior"].attrs


def test_variables_of_columns():
    """Checks which columns become one variable: those whose indices are a whole list, wherever they stand."""
    from pushforward._posterior import variables

    assert variables(["mu", "t[1]", "t[2]", "Z[1,1]", "Z[1,2]"]) == [
        ("mu", [0], ()),
        ("t", [1, 2], (2,)),
        ("Z", [3, 4], (1, 2)),
    ]
    assert variables(["t[2]", "t[3]", "a[x]"]) == [("t[2]", [0], ()), ("t[3]", [1], ()), ("a[x]", [2], ())]


def test_stubs():
    """Checks that the stubs name what the compiled part has, and that everything public has a docstring."""
    import ast
    import inspect
    import pathlib

    from pushforward import _core

    stubs = ast.parse((pathlib.Path(pushforward.__file__).parent / "_core.pyi").read_text())
    named = {c.name: {m.name for m in c.body if isinstance(m, ast.FunctionDef)} for c in stubs.body if isinstance(c, ast.ClassDef)}
    public = lambda of: {name for name in vars(of) if not name.startswith("_")}  # noqa: E731
    assert named == {name: public(getattr(_core, name)) for name in public(_core)}
    for name in pushforward.__all__:
        value = getattr(pushforward, name)
        assert inspect.getdoc(value), name
        for member in public(value) if inspect.isclass(value) else ():
            attribute = getattr(value, member)
            if callable(attribute) or isinstance(inspect.getattr_static(value, member), property):
                assert inspect.getdoc(inspect.getattr_static(value, member)), f"{name}.{member}"
