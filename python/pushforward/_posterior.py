"""What a run learnt: samples, weights, figures, the model itself. A posterior is the folder of its run, held in memory."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, Union

import numpy as np

from ._core import Model
from ._errors import InputError

#: The files of a run's folder that are kept, those of the command and the log-weights.
FILES = (
    "config.toml",
    "model.safetensors",
    "summary.json",
    "samples.npy",
    "resampled.npy",
    "log_weights.npy",
    "metrics.jsonl",
    "pictures.safetensors",
    "report.html",
)


@dataclass(frozen=True)
class Moments:
    """Mean, standard deviation, 5, 50 and 95 % quantiles, and the Monte Carlo standard error of the mean."""

    mean: float
    sd: float
    q5: float
    q50: float
    q95: float
    mcse: float


@dataclass(frozen=True)
class Parameter:
    """One coordinate: from the raw samples, and reweighted by p/q where the model has a density."""

    raw: Moments
    reweighted: Optional[Moments]


class Summary(Mapping[str, Parameter]):
    """The posterior in numbers, by the names of the coordinates, as summary.json of the command has it.

    ``summary["mu"].raw.mean``, and arrays over all coordinates: ``summary.mean``, ``summary.sd``, ``summary.quantiles`` (d, 3). The
    arrays are of the samples that the run says to use.
    """

    def __init__(self, columns: Mapping[str, Any], use: str):
        def moments(values: Optional[Mapping[str, float]]) -> Optional[Moments]:
            return None if values is None else Moments(**{key: float(values[key]) for key in Moments.__annotations__})

        self._columns: Dict[str, Parameter] = {}
        for name, column in columns.items():
            raw = moments(column["raw"])
            assert raw is not None
            self._columns[name] = Parameter(raw, moments(column["reweighted"]))
        self.use = use

    def __getitem__(self, name: str) -> Parameter:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def _rows(self) -> List[Moments]:
        weighted = self.use == "resampled"
        return [p.reweighted if weighted and p.reweighted is not None else p.raw for p in self._columns.values()]

    @property
    def mean(self) -> np.ndarray:
        """(d,)."""
        return np.array([m.mean for m in self._rows()])

    @property
    def sd(self) -> np.ndarray:
        """(d,)."""
        return np.array([m.sd for m in self._rows()])

    @property
    def quantiles(self) -> np.ndarray:
        """5, 50 and 95 %, (d, 3)."""
        return np.array([[m.q5, m.q50, m.q95] for m in self._rows()])

    @property
    def mcse(self) -> np.ndarray:
        """Standard errors of the means, (d,)."""
        return np.array([m.mcse for m in self._rows()])

    def __repr__(self) -> str:
        width = max([4] + [len(name) for name in self._columns])
        lines = [" " * width + "".join(f"{title:>11}" for title in ("mean", "sd", "5 %", "50 %", "95 %", "mcse"))]
        for name, m in zip(self._columns, self._rows()):
            cells = (m.mean, m.sd, m.q5, m.q50, m.q95, m.mcse)
            lines.append(name.ljust(width) + "".join(f"{value:11.4g}" for value in cells))
        return "\n".join(lines)


@dataclass(frozen=True)
class Certificate:
    """What the weights p~/q of the samples say. No figure here proves that no mode was missed."""

    #: log Z and its standard error.
    log_z: float
    log_z_error: float
    #: (Σw)²/(n Σw²) of the samples, from 0 to 1.
    ess: float
    #: Shape of the tail of the weights (Pareto k).
    k_hat: float
    #: "reliable", "incomplete" (means can be used; log Z lacks a part of the target), "unreliable" or "useless".
    verdict: str
    #: E_q log p~/q ≤ log Z, and its standard error.
    elbo: float
    elbo_error: float
    #: What the figures add up to, in sentences.
    findings: Tuple[str, ...]
    #: All figures, as in summary.json.
    figures: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> "Certificate":
        """From summary.json."""
        return cls(
            log_z=figures["log_z"]["value"],
            log_z_error=figures["log_z"]["standard_error"],
            ess=figures["reverse_ess"],
            k_hat=figures["pareto_k"],
            verdict=figures["verdict"],
            elbo=figures["elbo"]["value"],
            elbo_error=figures["elbo"]["standard_error"],
            findings=tuple(figures["findings"]),
            figures=figures,
        )


class Posterior:
    """What a run learnt. Made by :func:`train`, :meth:`Run.finish` and :func:`load`; can be pickled."""

    def __init__(self, files: Mapping[str, bytes], trust: bool = False):
        self._files: Dict[str, bytes] = dict(files)
        self._trust = trust
        self._opened: Optional[Model] = None
        self.info: Dict[str, Any] = json.loads(self._files["summary.json"])

    # files

    @classmethod
    def _read(cls, folder: Union[str, "os.PathLike[str]"], trust: bool) -> "Posterior":
        place = Path(folder)
        if not (place / "config.toml").is_file():
            raise InputError(f"{place} is not a run folder (it has no config.toml); give one that 'train' made")
        files = {name: (place / name).read_bytes() for name in FILES if (place / name).is_file()}
        ended = "summary.json" in files and json.loads(files["summary.json"]).get("ending") == "complete"
        if not ended:
            raise InputError(f"the run in {place} did not end, so it has no samples; go on with pushforward.resume")
        made = cls(files, trust)
        made._opened = Model.open(str(place), trust)
        return made

    def save(self, path: Union[str, "os.PathLike[str]"], force: bool = False) -> None:
        """Writes the run's folder, which :func:`load` and the command read: ``pushforward sample PATH -n 1000 -o more.npy``."""
        place = Path(path)
        if place.exists() or place.is_symlink():
            if not force:
                raise InputError(f"{place} exists already; give another path, or force=True to replace it")
            if place.is_symlink() or not place.is_dir() or (any(place.iterdir()) and not (place / "config.toml").is_file()):
                raise InputError(f"{place} is not a run folder (it has no config.toml), so force will not replace it")
        place.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{place.name}.partial-", dir=place.parent))
        try:
            made.chmod(0o755)
            for name, content in self._files.items():
                (made / name).write_bytes(content)
            if place.exists():
                shutil.rmtree(place)
            made.rename(place)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise

    def __getstate__(self) -> Dict[str, Any]:
        # whoever unpickles has not said that the code of a library may run
        return {"files": self._files}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__init__(state["files"])  # type: ignore[misc]

    def _array(self, name: str) -> Optional[np.ndarray]:
        content = self._files.get(name)
        if content is None:
            return None
        return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))

    @property
    def _model(self) -> Model:
        if self._opened is None:
            with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
                for name in ("config.toml", "model.safetensors", "summary.json"):
                    (Path(folder) / name).write_bytes(self._files[name])
                self._opened = Model.open(folder, self._trust)
        return self._opened

    # samples

    @property
    def samples(self) -> np.ndarray:
        """10,000 draws of the model (particles: all of them), (n, d), in the coordinates of the target."""
        found = self._array("samples.npy")
        assert found is not None
        return found

    @property
    def resampled(self) -> Optional[np.ndarray]:
        """The samples drawn again by their weights; None where the weights are none or not to be trusted."""
        return self._array("resampled.npy")

    @property
    def log_weights(self) -> Optional[np.ndarray]:
        """log p~ - log q at the samples, (n,); None for a model without a density, and for a folder that the command wrote."""
        found = self._array("log_weights.npy")
        return None if found is None else found.reshape(-1)

    @property
    def weights(self) -> Optional[np.ndarray]:
        """The weights of the samples, with sum 1, (n,)."""
        log_weights = self.log_weights
        if log_weights is None:
            return None
        weights = np.exp(log_weights - np.max(log_weights))
        return np.asarray(weights / weights.sum())

    @property
    def draws(self) -> np.ndarray:
        """The samples that the run says to use: ``resampled`` where ``use`` says so, else ``samples``."""
        resampled = self.resampled
        return resampled if self.use == "resampled" and resampled is not None else self.samples

    # figures

    @property
    def use(self) -> str:
        """Which samples to use: "samples", "resampled" or "none"; ``use_reason`` says why."""
        return str(self.info["use"]).replace(".npy", "")

    @property
    def use_reason(self) -> str:
        """Why."""
        return str(self.info["use_reason"])

    @property
    def unresolved(self) -> Optional[str]:
        """What the search behind the model cannot have seen, in a sentence; None without a search."""
        found = self.info.get("unresolved")
        return None if found is None else str(found)

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against the samples; ``doubts`` says what does."""
        return bool(self.info["trusted"])

    @property
    def doubts(self) -> List[str]:
        """What speaks against the samples, in sentences."""
        return list(self.info["doubts"])

    @property
    def summary(self) -> Summary:
        """Mean, sd, quantiles and errors of each coordinate."""
        return Summary(self.info["posterior"], self.use)

    @property
    def certificate(self) -> Optional[Certificate]:
        """log Z, ESS, k-hat and a verdict; None for a model or a target without a density."""
        figures = self.info.get("certificate")
        return None if figures is None else Certificate.of(figures)

    @property
    def names(self) -> List[str]:
        """Names of the coordinates."""
        return list(self.info["posterior"])

    @property
    def dim(self) -> int:
        """Their number."""
        return len(self.info["posterior"])

    @property
    def kind(self) -> str:
        """Of the model: "generator", "flow" or "particles"."""
        return str(self.info["model"])

    @property
    def config(self) -> str:
        """config.toml: every choice, so that the run can be repeated to the last bit."""
        return self._files["config.toml"].decode()

    @property
    def report(self) -> str:
        """The report as HTML."""
        return self._files["report.html"].decode()

    # the model

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        """``n`` draws of the model, (n, d): those of ``pushforward sample -n N --seed SEED``."""
        for name, value, least in (("n", n, 1), ("seed", seed, 0)):
            if not isinstance(value, (int, np.integer)) or not least <= value < 2**63:
                raise InputError(f"{name} = {value}; give a whole number, at least {least}")
        return np.frombuffer(self._model.sample(int(n), int(seed)), dtype=np.float64).reshape(-1, self._model.dim)

    def log_prob(self, x: Any) -> np.ndarray:
        """log q at points, (n, d) → (n,): the exact density of a flow. For a target with a support that of the unconstrained coordinates."""
        try:
            points = np.ascontiguousarray(x, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"the points are no array of numbers ({error})") from error
        if points.ndim != 2 or points.shape[1] != self._model.dim:
            raise InputError(f"the points have shape {points.shape}; give one point a row, (n, {self._model.dim})")
        if not np.isfinite(points).all():
            row = int(np.argwhere(~np.isfinite(points))[0, 0])
            raise InputError(f"row {row} of the points is not finite; remove or repair it (rows count from 0)")
        return np.frombuffer(self._model.log_density(points.tobytes(), len(points)), dtype=np.float64)

    # others

    def to_arviz(self) -> Any:
        """The draws to use as ``arviz.InferenceData`` (from ArviZ 1.0 on an ``xarray.DataTree``), with vectors as variables of a dimension."""
        try:
            arviz: Any = importlib.import_module("arviz")
        except ImportError as error:
            raise InputError("arviz is not installed; install it with: pip install arviz") from error
        draws = self.draws
        posterior = {name: draws[:, columns].reshape((1, len(draws)) + shape) for name, columns, shape in variables(self.names)}
        groups: Dict[str, Dict[str, np.ndarray]] = {"posterior": posterior}
        log_weights = self.log_weights
        if log_weights is not None and self.use != "resampled":
            groups["sample_stats"] = {"log_weight": log_weights.reshape(1, -1)}
        certificate = self.certificate
        attributes = {
            "inference_library": "pushforward",
            "inference_library_version": self.info["pushforward"],
            "sampling_time": self.info["train_seconds"],
            "target": self.info["target"],
            "method": self.info["method"],
            "seed": self.info["seed"],
            "use": self.use,
            "use_reason": self.use_reason,
        }
        if certificate is not None:
            attributes.update(log_z=certificate.log_z, pareto_k=certificate.k_hat, verdict=certificate.verdict)
        if int(arviz.__version__.split(".")[0]) >= 1:
            made = arviz.from_dict(groups)
            made["posterior"].attrs.update(attributes)
            return made
        return arviz.from_dict(**groups, posterior_attrs=attributes)

    def __repr__(self) -> str:
        head = f"<{self.kind} of {self.info['target']}, {self.info['steps']} steps, seed {self.info['seed']}"
        certificate = self.certificate
        if certificate is not None:
            head += f"; log Z {certificate.log_z:.4g} ± {certificate.log_z_error:.1g}, ESS {certificate.ess:.3f}, {certificate.verdict}"
        doubts = "" if self.trusted else "\nnot to be trusted: " + "; ".join(self.doubts)
        unresolved = "" if self.unresolved is None else f"\nnot resolved: {self.unresolved}"
        return f"{head}>\n{self.summary!r}\nuse {self.use}: {self.use_reason}{doubts}{unresolved}"


def variables(names: List[str]) -> List[Tuple[str, List[int], Tuple[int, ...]]]:
    """Name, columns and shape of each variable: columns ``theta[1]``, ``theta[2]``, … are one, and so are those of a matrix, row by row."""
    groups: Dict[str, List[Tuple[int, Tuple[int, ...]]]] = {}
    for column, name in enumerate(names):
        match = re.fullmatch(r"(.*)\[(\d+(?:,\d+)*)\]", name)
        base, index = (match[1], tuple(int(i) for i in match[2].split(","))) if match else (name, ())
        groups.setdefault(base, []).append((column, index))
    out: List[Tuple[str, List[int], Tuple[int, ...]]] = []
    for base, members in groups.items():
        shape = members[-1][1]
        if [index for _, index in members] == [tuple(i + 1 for i in index) for index in np.ndindex(shape)]:
            out.append((base, [column for column, _ in members], shape))
        else:
            out.extend((names[column], [column], ()) for column, _ in members)
    return out
