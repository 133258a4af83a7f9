"""What several files of tests use."""

import os
import pathlib
import subprocess

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

#: A flow in a moment: enough for laws, not for quality.
SMALL = dict(method="flow", steps=60, batch=128, settings={"model.couplings": 2, "model.hidden": [16]}, progress=False)


def command():
    """The command, where it is built; PUSHFORWARD_COMMAND names it."""
    named = os.environ.get("PUSHFORWARD_COMMAND")
    places = [pathlib.Path(named)] if named else [ROOT / "target" / kind / "pushforward" for kind in ("release", "debug")]
    for place in places:
        if place.is_file():
            return str(place)
    pytest.skip("the command is not built; PUSHFORWARD_COMMAND names it")


def run_command(*arguments, folder):
    """Runs the command in ``folder``; its output."""
    done = subprocess.run([command(), *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Gaussian:
    """log p~ = c - (x - m)ᵀ P (x - m)/2 in two dimensions, so log Z = c + log 2π - log det P / 2."""

    mean = np.array([1.0, -2.0])
    covariance = np.array([[2.0, 0.6], [0.6, 0.5]])
    precision = np.linalg.inv(covariance)
    constant = 0.7
    log_z = constant + np.log(2 * np.pi) + 0.5 * np.linalg.slogdet(covariance)[1]
    sd = np.sqrt(np.diag(covariance))

    def __call__(self, x):
        pull = -(x - self.mean) @ self.precision
        return self.constant + 0.5 * np.sum((x - self.mean) * pull, axis=1), pull


#: Standard errors from which a figure is wrong: a normal variable is there with probability 7e-6.
FAR = 4.5


def is_posterior_of(gaussian, posterior):
    """Holds log Z, means and deviations, reweighted, to the truth by their own standard errors."""
    certificate = posterior.certificate
    assert certificate.verdict == "reliable" and posterior.trusted
    assert abs(certificate.log_z - gaussian.log_z) <= FAR * certificate.log_z_error + 1e-9
    n = len(posterior.samples) * certificate.ess
    for k, parameter in enumerate(posterior.summary.values()):
        moments = parameter.reweighted
        assert abs(moments.mean - gaussian.mean[k]) <= FAR * moments.mcse
        # the standard deviation of a sample of a Gaussian has the standard error sd/√(2n)
        assert abs(moments.sd - gaussian.sd[k]) <= FAR * gaussian.sd[k] / np.sqrt(2 * n)


@pytest.fixture(scope="session")
def gaussian():
    return Gaussian()


@pytest.fixture(scope="session")
def small(gaussian):
    """A posterior of the Gaussian, trained for a moment."""
    import pushforward

    return pushforward.train(gaussian, 2, name="gaussian", **SMALL)
