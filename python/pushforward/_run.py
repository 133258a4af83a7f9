"""Targets, runs, and the functions that users call."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
import weakref
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Union

import numpy as np

from . import _core
from ._density import Adapter, Batched
from ._errors import Error, InputError, Interrupted, NotToBeTrusted
from ._posterior import Posterior
from ._progress import Watcher, watcher

PathLike = Union[str, "os.PathLike[str]"]
Parameters = Union[Sequence[str], Mapping[str, Mapping[str, Any]]]


def _plain(value: Any) -> Any:
    """Without NumPy: arrays become lists, its numbers Python's."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _keys(**given: Any) -> Dict[str, Any]:
    return {key: _plain(value) for key, value in given.items() if value is not None}


class Target:
    """What is to be sampled from. Made by :func:`from_function`, :func:`from_formula`, :func:`from_stan_library` and :func:`from_file`."""

    def __init__(self, core: _core.Target, trust: bool = False):
        self._core = core
        self._trust = trust

    @property
    def name(self) -> str:
        """Its name."""
        return self._core.name

    @property
    def names(self) -> Sequence[str]:
        """Names of the coordinates of its samples."""
        return self._core.names

    @property
    def dim(self) -> int:
        """Their number."""
        return len(self._core.names)

    def __repr__(self) -> str:
        return f"<target {self.name} in {self.dim} dimensions: {self._core.formula}>"


def from_function(
    log_density_and_score: Batched,
    dim: Optional[int] = None,
    *,
    parameters: Optional[Parameters] = None,
    log_density: Optional[Callable[[np.ndarray], Any]] = None,
    name: Optional[str] = None,
) -> Target:
    """A target from a batched function: (n, d) → (log p~ of shape (n,), its gradient of shape (n, d)), float64.

    The function is given whole batches, by the thread that trains, so it may be NumPy, JAX, PyTorch or anything else; -inf says that a
    point is outside of the support. The answer for a point must depend on nothing but the point. ``parameters`` names the coordinates
    instead of ``dim``: a list of names, or a dictionary as the table ``[parameters]`` of a target file, with shapes and supports:
    ``{"mu": {}, "tau": {"support": "positive"}, "theta": {"size": 8}}``; the function is then given the constrained values, and the
    library adds the Jacobian. ``log_density``, (n, d) → (n,), is called where no score is needed: for functions whose score is dear.
    """
    if not callable(log_density_and_score):
        raise InputError(f"{log_density_and_score!r} is no function; give one of (n, d) arrays, or the name of a target")
    if parameters is None and dim is None:
        raise InputError("dim is missing; give the number of coordinates of a point, or parameters")
    if parameters is not None and dim is not None:
        raise InputError(f"dim = {dim} stands beside parameters; give one of them")
    if dim is not None and (not isinstance(dim, (int, np.integer)) or isinstance(dim, bool)):
        raise InputError(f"dim = {dim!r}; give a whole number from 1 to 10000")
    if parameters is not None and not isinstance(parameters, Mapping):
        parameters = {str(each): {} for each in parameters}
    adapter = Adapter(log_density_and_score, log_density)
    own = getattr(log_density_and_score, "__name__", "function")
    core = _core.Target.function(name or own.strip("<>"), _keys(dim=dim, parameters=parameters), adapter)
    return Target(core)


def from_formula(
    log_density: str,
    dim: Optional[int] = None,
    *,
    parameters: Optional[Parameters] = None,
    constants: Optional[Mapping[str, Any]] = None,
    data: Optional[Union[PathLike, Mapping[str, Any], Sequence[PathLike]]] = None,
    support: Optional[Mapping[str, Any]] = None,
    generated: Optional[Mapping[str, str]] = None,
    name: str = "formula",
) -> Target:
    """A target from a formula in the language of target files: ``from_formula("-(x1^2 + x2^2)/2", dim=2)``.

    The arguments are the keys of such a file (docs/targets.md); ``constants`` may be NumPy arrays, ``data`` the path of a file.
    """
    if parameters is not None and not isinstance(parameters, Mapping):
        parameters = {str(each): {} for each in parameters}
    keys = _keys(
        kind="formula",
        dim=dim,
        log_density=log_density,
        parameters=parameters,
        constants=constants,
        data=data,
        support=support,
        generated=generated,
    )
    return Target(_core.Target.described(name, keys, False))


def from_stan_library(
    library: PathLike,
    data: Optional[Union[PathLike, Mapping[str, Any]]] = None,
    *,
    trust: bool = False,
    seed: int = 0,
    name: Optional[str] = None,
) -> Target:
    """A target from a Stan model that BridgeStan compiled. ``data`` is a dictionary or the path of a ``.json`` file.

    Opening a library runs its code, so this is done only with ``trust=True``.
    """
    shown = os.fspath(library)
    if not trust:
        raise InputError(f"{shown} is a Stan library, whose code would run; look at what it is, and give trust=True")
    keys = _keys(kind="stan-library", library=os.path.abspath(shown), data=data, seed=seed)
    return Target(_core.Target.described(name or Path(shown).stem, keys, True), True)


def from_file(path: PathLike, *, trust: bool = False) -> Target:
    """A target from a TOML file, as the command takes it (docs/targets.md); ``trust`` lets the code of a Stan library run."""
    return Target(_core.Target.named(os.fspath(path), trust), trust)


def _target(given: Any, dim: Optional[int], **more: Any) -> Target:
    if callable(given):
        return from_function(given, dim, **more)
    if dim is not None or any(value is not None for value in more.values()):
        raise InputError("dim, parameters, log_density and name belong to a function; leave them out")
    if isinstance(given, Target):
        return given
    if isinstance(given, (str, os.PathLike)):
        return from_file(given)
    raise InputError(f"{given!r} is no target; give a function, the name of a target, the path of a target file, or a Target")


class Run:
    """A training that can be stopped and gone on with: ``Run(target, ...).finish()`` is what :func:`train` does, with its arguments.

    An exception of the log-density, Ctrl-C, or one of the progress function ends ``finish`` at the step that was under way; the next call
    goes on from there, with the bits of a run that never stopped.
    """

    def __init__(
        self,
        target: Union[Batched, str, "os.PathLike[str]", Target],
        dim: Optional[int] = None,
        *,
        method: Optional[str] = None,
        model: Optional[str] = None,
        velocity: Optional[str] = None,
        estimator: Optional[str] = None,
        coupling: Optional[str] = None,
        reference: Optional[str] = None,
        divergence: Optional[str] = None,
        steps: Optional[int] = None,
        batch: Optional[int] = None,
        seed: Optional[int] = None,
        precision: Optional[str] = None,
        settings: Optional[Mapping[str, Any]] = None,
        parameters: Optional[Parameters] = None,
        log_density: Optional[Callable[[np.ndarray], Any]] = None,
        name: Optional[str] = None,
        threads: Optional[int] = None,
        out: Optional[PathLike] = None,
        force: bool = False,
        checkpoint_every: float = 15.0,
    ):
        made = _target(target, dim, parameters=parameters, log_density=log_density, name=name)
        given = {
            "method": method,
            "model.kind": model,
            "velocity.kind": velocity,
            "estimator.kind": estimator,
            "model.coupling": coupling,
            "velocity.reference": reference,
            "velocity.divergence": divergence,
            "run.precision": precision,
            "run.steps": steps,
            "model.batch": batch,
            "run.seed": seed,
        }
        keys = _keys(**given)
        keys.update(_plain(settings or {}))
        temporary = tempfile.mkdtemp(prefix="pushforward-") if out is None else None
        place = Path(temporary) / "run" if temporary is not None else Path(os.fspath(out))  # type: ignore[arg-type]
        try:
            core = _core.Run.begin(made._core, keys, str(place), force, _threads(threads), float(checkpoint_every))
        except BaseException:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
            raise
        self._begin(core, made._trust, temporary)

    def _begin(self, core: _core.Run, trust: bool, temporary: Optional[str]) -> None:
        self._core = core
        self._trust = trust
        self._posterior: Optional[Posterior] = None
        self._steps = core.steps
        self._taken = 0
        if temporary is not None:
            weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True)

    @property
    def path(self) -> Path:
        """The folder of the run: ``out``, else a temporary one that goes with this object."""
        return Path(self._core.path)

    @property
    def steps(self) -> int:
        """All steps."""
        return self._steps

    @property
    def taken(self) -> int:
        """Steps that this object saw."""
        return self._taken

    def finish(self, progress: Union[None, bool, Watcher] = None) -> Posterior:
        """Takes all steps that are left. ``progress``: None shows a bar on a terminal and in a notebook, True always, False never; a
        function is called as ``progress(step, steps, figures)`` after each step."""
        if self._posterior is not None:
            return self._posterior
        on_step, close = watcher(progress)

        def step(step: int, steps: int, figures: Any) -> None:
            self._taken = step
            if on_step is not None:
                on_step(step, steps, figures)

        try:
            self._core.finish(step)
        except KeyboardInterrupt as stop:
            how = f"after step {self._taken} of {self._steps}" if self._taken else "before the first step"
            raised = Interrupted(f"stopped by Ctrl-C {how}; go on with run.finish()")
            raised.run = self
            raise raised from stop
        except Exception as error:
            if isinstance(error, Error):
                error.run = self
            raise
        finally:
            close()
        self._posterior = Posterior._read(self.path, self._trust)
        if not self._posterior.trusted:
            doubts = "; ".join(self._posterior.doubts)
            warnings.warn(f"the run ended, but its samples are not to be trusted: {doubts}", NotToBeTrusted, stacklevel=2)
        return self._posterior

    def __repr__(self) -> str:
        return f"<run of {self._steps} steps in {self.path}, {'complete' if self._core.is_finished else 'to be gone on with'}>"


def _threads(threads: Optional[int]) -> Optional[int]:
    if threads is None:
        return None
    if not isinstance(threads, (int, np.integer)) or not 1 <= threads < 2**31:
        raise InputError(f"threads = {threads}; give a whole number, at least 1, or leave it out")
    return int(threads)


def train(
    target: Union[Batched, str, "os.PathLike[str]", Target],
    dim: Optional[int] = None,
    *,
    progress: Union[None, bool, Watcher] = None,
    **arguments: Any,
) -> Posterior:
    """Trains a sampler of ``target`` and returns what it learnt.

    ``target`` is a batched function (see :func:`from_function`), a name such as ``"gmm40"``, the path of a target file, or a
    :class:`Target`; ``dim`` is the number of coordinates of a function. The other arguments are those of :class:`Run`; ``method``,
    ``steps``, ``batch``, ``seed``, ``divergence``, … have the names, defaults and meanings of ``pushforward train``, and ``settings`` takes
    every other key: ``settings={"learning_rate": 1e-3}``. The same seed gives the same bits as the command, on any number of threads.
    ``out`` keeps the run's folder, as the command's, with checkpoints on the way.

    Raises :class:`InputError`, :class:`DensityError` for what the function does, :class:`RunError`; :class:`Interrupted` at Ctrl-C. Their
    ``run`` goes on where it stopped: ``run.finish()``.
    """
    return Run(target, dim, **arguments).finish(progress)


def resume(
    path: PathLike,
    log_density_and_score: Optional[Batched] = None,
    *,
    log_density: Optional[Callable[[np.ndarray], Any]] = None,
    trust: bool = False,
    threads: Optional[int] = None,
    checkpoint_every: float = 15.0,
    progress: Union[None, bool, Watcher] = None,
) -> Posterior:
    """Goes on with the run in the folder ``path``, to the bits of a run that never stopped; one of a function needs the function."""
    given = None
    if log_density_and_score is not None:
        # what the points are is in the folder
        adapter = Adapter(log_density_and_score, log_density)
        given = _core.Target.function("function", {"dim": 1}, adapter)
    core = _core.Run.open(os.fspath(path), given, trust, _threads(threads), float(checkpoint_every))
    run = Run.__new__(Run)
    run._begin(core, trust, None)
    return run.finish(progress)


def load(path: PathLike, *, trust: bool = False) -> Posterior:
    """The posterior in a run's folder, by :meth:`Posterior.save`, ``train(out=...)`` or the command. ``trust`` lets the code of a Stan
    library run, which knows the constrained coordinates."""
    return Posterior._read(path, trust)
