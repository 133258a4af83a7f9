"""The compiled part: runs of the command as objects."""

from typing import Any, Callable, Dict, List, Optional, Tuple

class Target:
    """What is to be sampled from."""

    @staticmethod
    def named(name: str, trust: bool) -> Target:
        """A name from 'pushforward list targets', or the path of a target file."""
    @staticmethod
    def described(name: str, keys: Dict[str, Any], trust: bool) -> Target:
        """What a dictionary with the keys of a target file describes."""
    @staticmethod
    def function(name: str, keys: Dict[str, Any], function: Callable[[bytes, int, bool], Tuple[bytes, bytes]]) -> Target:
        """A function of Python; ``keys`` has ``dim`` or ``parameters``."""
    @property
    def name(self) -> str: ...
    @property
    def names(self) -> List[str]: ...
    @property
    def formula(self) -> str: ...
    @property
    def is_function(self) -> bool: ...

class Run:
    """A training that can be stopped and gone on with."""

    @staticmethod
    def begin(
        target: Target, settings: Dict[str, Any], out: str, force: bool, threads: Optional[int], checkpoint_every: float
    ) -> Run:
        """A run in the new folder ``out``."""
    @staticmethod
    def open(path: str, target: Optional[Target], trust: bool, threads: Optional[int], checkpoint_every: float) -> Run:
        """The run that stopped in the folder ``path``."""
    def finish(self, on_step: Optional[Callable[[int, int, List[Tuple[str, float]]], None]]) -> None:
        """Takes all steps that are left and judges the samples."""
    @property
    def path(self) -> str: ...
    @property
    def steps(self) -> int: ...
    @property
    def is_finished(self) -> bool: ...

class Model:
    """What a run learnt, in the coordinates of its target."""

    @staticmethod
    def open(path: str, trust: bool) -> Model:
        """The model of the run in the folder ``path``."""
    @property
    def dim(self) -> int: ...
    @property
    def names(self) -> List[str]: ...
    @property
    def size(self) -> int: ...
    @property
    def kind(self) -> str: ...
    def sample(self, n: int, seed: int) -> bytearray:
        """``n`` samples under ``seed``, row after row."""
    def log_density(self, points: bytes, n: int) -> bytearray:
        """log q at ``n`` points, row after row."""
