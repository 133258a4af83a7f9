"""What can go wrong, in the sentences of the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from ._run import Run


class Error(Exception):
    """Whatever this package raises, but Ctrl-C. ``run`` can be gone on with, where one was under way."""

    run: Optional["Run"] = None


class InputError(Error, ValueError):
    """Input that has no answer: where the command ends with exit code 2."""


class RunError(Error, RuntimeError):
    """The work failed: where the command ends with exit code 1."""


class DensityError(RunError):
    """The log-density raised, or returned what is no answer; ``__cause__`` is its own exception."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C. ``run.finish()`` goes on from there, with the bits of a run that never stopped."""

    run: Optional["Run"] = None


class NotToBeTrusted(UserWarning):
    """The run ended, but its samples are not to be trusted: exit code 3 of the command."""
