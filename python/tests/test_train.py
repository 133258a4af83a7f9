"""Trainings of functions: right, stopped, gone on with, refused."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import pushforward
from conftest import FAR, SMALL, is_posterior_of


def test_numpy_gaussian(gaussian):
    """Checks that the flow of a NumPy Gaussian has its log Z, means and deviations, and its density."""
    calls = []

    def counted(x):
        calls.append((x.shape, x.dtype, threading.get_ident()))
        return gaussian(x)

    posterior = pushforward.train(counted, 2, method="flow", steps=300, seed=1, progress=False)
    is_posterior_of(gaussian, posterior)
    # whole batches of float64, by the thread that called
    assert {thread for _, _, thread in calls} == {threading.get_ident()}
    assert all(dtype == np.float64 and shape[1] == 2 for shape, dtype, _ in calls)
    assert min(shape[0] for shape, _, _ in calls[-100:-20]) >= 128
    x = posterior.samples[:100]
    log_weights = gaussian(x)[0] - posterior.log_prob(x)
    assert np.allclose(log_weights, posterior.log_weights[:100], rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", ["generator", "kde-small", "particles", "stein"])
def test_other_methods(method, gaussian):
    """Checks that methods whose estimates cut batches ask for large ones, and that their samples are the Gaussian's to a third of an sd."""
    calls = []

    def counted(x):
        calls.append(len(x))
        return gaussian(x)

    name = method if method != "stein" else "particles"
    more = {"velocity": "stein"} if method == "stein" else {}
    if name == "particles":
        more["settings"] = {"particles": 500}
    steps = {"generator": 10, "kde-small": 60}.get(method, 100)
    run = pushforward.Run(counted, 2, method=name, steps=steps, **more)
    posterior = run.finish(progress=False)
    # particles with noise levels of their own are asked for level by level; in pieces of 32 points and their draws it would be more
    assert len(calls) <= (100 if name == "particles" else 20) * steps + 2_000
    assert posterior.kind == ("particles" if name == "particles" else "generator")
    assert np.all(np.abs(posterior.samples.mean(0) - gaussian.mean) <= gaussian.sd / 3)


def test_parameters_with_a_support():
    """Checks that a function of constrained parameters is given them, and that its normaliser and mean come out: Exp(1/2) has 2 and 2."""

    def exponential(x):
        assert np.all(x >= 0)
        return -0.5 * x[:, 0] - 0.5 * x[:, 1] ** 2, np.stack([np.full(len(x), -0.5), -x[:, 1]], axis=1)

    def half(x):
        return exponential(x)

    parameters = {"tau": {"support": "positive"}, "sigma": {"lower": 0}}
    posterior = pushforward.train(half, parameters=parameters, method="flow", steps=400, progress=False)
    assert posterior.names == ["tau", "sigma"] and np.all(posterior.samples > 0)
    certificate = posterior.certificate
    log_z = np.log(2) + 0.5 * np.log(np.pi / 2)
    assert abs(certificate.log_z - log_z) <= FAR * certificate.log_z_error
    tau = posterior.summary["tau"].reweighted
    assert abs(tau.mean - 2) <= FAR * tau.mcse


class Stopper:
    """The Gaussian, which does something at one of its calls."""

    def __init__(self, gaussian, at, what):
        self.gaussian, self.at, self.what, self.calls = gaussian, at, what, 0

    def __call__(self, x):
        self.calls += 1
        if self.calls == self.at:
            self.what()
        return self.gaussian(x)


def calls_of(gaussian):
    """Calls of a small run, and how many of them its search makes."""
    counter = Stopper(gaussian, -1, None)
    seen = []
    run = pushforward.Run(counter, 2, name="gaussian", **{k: v for k, v in SMALL.items() if k != "progress"})
    run.finish(progress=lambda step, steps, figures: seen.append(counter.calls))
    return counter.calls, seen[0]


def test_an_exception_ends_the_step(gaussian, small, tmp_path):
    """Checks that an exception is raised with its text and its cause, in the search, in a step and in the judging, and that the run goes
    on to the bits of one that never stopped; in memory and from its folder."""

    def fails():
        raise ZeroDivisionError("no luck today")

    calls, search = calls_of(gaussian)
    for at in [1, search + 20, calls - 1]:
        run = pushforward.Run(Stopper(gaussian, at, fails), 2, name="gaussian", **{k: v for k, v in SMALL.items() if k != "progress"})
        with pytest.raises(pushforward.DensityError, match="log_density_and_score raised ZeroDivisionError: no luck today") as caught:
            run.finish(progress=False)
        assert isinstance(caught.value.__cause__, ZeroDivisionError) and caught.value.run is run
        again = run.finish(progress=False)
        assert again._files["model.safetensors"] == small._files["model.safetensors"]
        assert np.array_equal(again.samples, small.samples)
    place = tmp_path / "run"
    with pytest.raises(pushforward.DensityError):
        pushforward.train(Stopper(gaussian, search + 20, fails), 2, name="gaussian", out=place, **SMALL)
    with pytest.raises(pushforward.InputError, match="another process|exists already"):
        pushforward.train(gaussian, 2, name="gaussian", out=place, **SMALL)
    with pytest.raises(pushforward.InputError, match="only Python can call"):
        pushforward.resume(place, progress=False)
    resumed = pushforward.resume(place, gaussian, progress=False)
    assert resumed._files["model.safetensors"] == small._files["model.safetensors"]
    with pytest.raises(pushforward.InputError, match="complete"):
        pushforward.resume(place, gaussian, progress=False)


def test_ctrl_c_in_the_function(gaussian, small):
    """Checks that Ctrl-C while the function runs is an Interrupted with the step in its sentence, and that the run goes on."""
    _, search = calls_of(gaussian)
    stopper = Stopper(gaussian, search + 30, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(pushforward.Interrupted, match=r"stopped by Ctrl-C after step \d+ of 60; go on with run.finish\(\)") as caught:
        pushforward.train(stopper, 2, name="gaussian", **SMALL)
    assert isinstance(caught.value, KeyboardInterrupt)
    again = caught.value.run.finish(progress=False)
    assert again._files["model.safetensors"] == small._files["model.safetensors"]


def test_ctrl_c_without_a_function():
    """Checks that Ctrl-C ends the training of a named target within two seconds, whose search takes no notice, and that it goes on to the
    bits of one that never stopped; meanwhile another thread of Python works, because the lock is released."""
    ticks = []
    stop = threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.01)

    threading.Thread(target=tick, daemon=True).start()
    own = os.getpid()
    arguments = dict(method="flow", steps=150, batch=256, settings={"model.couplings": 2, "model.hidden": [16]})
    run = pushforward.Run("ring8", **arguments)
    sent = []

    def send():
        sent.append(time.monotonic())
        os.kill(own, signal.SIGINT)

    timer = threading.Timer(0.3, send)
    timer.start()
    with pytest.raises(pushforward.Interrupted):
        run.finish(progress=False)
    assert time.monotonic() - sent[0] < 2
    again = run.finish(progress=False)
    stop.set()
    straight = pushforward.train("ring8", progress=False, **arguments)
    assert again._files["model.safetensors"] == straight._files["model.safetensors"]
    assert len(ticks) > 20


def test_progress(gaussian):
    """Checks what a progress function is told, that its exception ends the run, and what the bar writes."""
    seen = []
    pushforward.train(gaussian, 2, **{**SMALL, "progress": lambda *told: seen.append(told)})
    assert [step for step, _, _ in seen] == list(range(1, 61)) and {steps for _, steps, _ in seen} == {60}
    assert all(np.isfinite(value) for _, _, figures in seen for value in figures.values()) and seen[0][2]

    def fails(step, steps, figures):
        if step == 5:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        pushforward.train(gaussian, 2, **{**SMALL, "progress": fails})
    from pushforward._progress import Bar

    line = Bar(False).line(30, 60, {"loss": 1.5}, 3.0)
    assert "50%" in line and "30/60 steps" in line and "loss 1.5" in line


def test_what_a_function_may_not_return(gaussian):
    """Checks the sentence for each wrong answer: types, shapes, dtypes."""
    n = "[0-9]+"
    for answer, sentence in [
        (lambda x: gaussian(x)[0], "returned a ndarray; return two arrays"),
        (lambda x: None, "returned a NoneType; return two arrays"),
        (lambda x: (gaussian(x)[0][:-1], gaussian(x)[1]), rf"the log-density has shape \({n},\), not \({n},\)"),
        (lambda x: (gaussian(x)[0][:, None], gaussian(x)[1]), rf"the log-density has shape \({n}, 1\)"),
        (lambda x: (gaussian(x)[0].sum(), gaussian(x)[1]), r"the log-density has shape \(\)"),
        (lambda x: (gaussian(x)[0], gaussian(x)[1].T), rf"the score has shape \(2, {n}\), not \({n}, 2\)"),
        (lambda x: (gaussian(x)[0] + 0j, gaussian(x)[1]), "the log-density has dtype complex128"),
        (lambda x: (gaussian(x)[0], gaussian(x)[1].astype(object)), "the score has dtype object"),
        (lambda x: (gaussian(x)[0], [["a", "b"]] * len(x)), "the score has dtype <U1"),
    ]:
        with pytest.raises(pushforward.DensityError, match=sentence):
            # the score is not looked at where the search asks for values alone, so some steps are taken
            pushforward.train(answer, 2, **SMALL)


def test_values_that_are_none(gaussian):
    """Checks that NaN everywhere, or in many steps, ends the run with the command's sentence, and that float32 and lists are taken."""
    with pytest.raises(pushforward.Error, match="NaN|finite"):
        pushforward.train(lambda x: (np.full(len(x), np.nan), x), 2, **SMALL)
    calls, search = calls_of(gaussian)
    count = [0]

    def later(x):
        count[0] += 1
        values, score = gaussian(x)
        return (values * np.nan if search < count[0] < calls - 10 else values), score

    with pytest.raises(pushforward.RunError, match="steps were left out because the target is not finite"):
        pushforward.train(later, 2, **SMALL)
    single = pushforward.train(lambda x: tuple(a.astype(np.float32).tolist() for a in gaussian(x)), 2, **SMALL)
    assert single.samples.dtype == np.float64


def test_wrong_arguments(gaussian, tmp_path):
    """Checks the sentence for each wrong argument; those of settings are the command's."""
    for arguments, sentence in [
        ((gaussian,), "dim is missing"),
        ((gaussian, 0), "dim = 0; give a number from 1 to"),
        ((gaussian, 2.5), "dim = 2.5"),
        (("gmm49",), "unknown target 'gmm49'; did you mean gmm40"),
        (("nowhere.toml",), "cannot read nowhere.toml"),
        (("banana", 2), "dim, parameters, log_density and name belong to a function"),
        ((3,), "3 is no target"),
    ]:
        with pytest.raises(pushforward.InputError, match=sentence):
            pushforward.train(*arguments, progress=False)
    for more, sentence in [
        (dict(method="flaw"), "unknown method 'flaw'; did you mean flow"),
        (dict(steps=0), "steps = 0"),
        (dict(steps=2**70), "too large"),
        (dict(batch=-3), "batch = -3"),
        (dict(seed=-1), "seed = -1"),
        (dict(threads=0), "threads = 0"),
        (dict(threads=5000), "threads = 5000; give at most 4096"),
        (dict(divergence="reverse-kll"), "reverse-kl"),
        (dict(settings={"learning_rat": 1}), "has no setting 'learning_rat'"),
        (dict(settings={"steps": object()}), "give a number, a word, a list"),
        (dict(precision="f16"), "f16"),
        (dict(checkpoint_every=-1), "checkpoint_every = -1"),
        (dict(out=tmp_path), "exists already"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            pushforward.train(gaussian, 2, progress=False, **more)
    assert list(tmp_path.iterdir()) == []


def test_an_untrustworthy_run_warns(gaussian):
    """Checks that a flow that learnt nothing of eight modes far apart warns, and says why."""
    with pytest.warns(pushforward.NotToBeTrusted, match="not to be trusted"):
        posterior = pushforward.train(
            "gmm40", method="flow", steps=1, batch=8, settings={"centre": [500.0, 500.0], "scale": 1.0}, progress=False
        )
    assert not posterior.trusted and posterior.doubts and "not to be trusted" in repr(posterior)
