"""Progress of a training: a line on a terminal, a line that changes in a notebook, a function of the user."""

from __future__ import annotations

import sys
import time
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

#: ``progress(step, steps, figures)``
Watcher = Callable[[int, int, Dict[str, float]], Any]

#: Seconds between two drawings.
EVERY = 0.2


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class Bar:
    """Draws the progress where it can be seen."""

    def __init__(self, notebook: bool):
        self.begun = time.monotonic()
        self.first: Optional[int] = None
        self.drawn = 0.0
        self.notebook = notebook
        self.handle: Any = None
        self.width = 0

    def __call__(self, step: int, steps: int, figures: Dict[str, float]) -> None:
        if self.first is None:
            self.first = step - 1
        now = time.monotonic()
        if now - self.drawn < EVERY and step < steps:
            return
        self.drawn = now
        self.show(self.line(step, steps, figures, now - self.begun))

    def line(self, step: int, steps: int, figures: Dict[str, float], seconds: float) -> str:
        """The text of one moment."""
        full = 30 * step // steps
        rate = (step - (self.first or 0)) / max(seconds, 1e-9)
        left = (steps - step) / rate if rate > 0 else float("inf")
        words = "  ".join(f"{name} {value:.4g}" for name, value in list(figures.items())[:2])
        return f"{'━' * full}{'─' * (30 - full)} {100 * step // steps:3d}%  {step}/{steps} steps  {left:.0f} s left  {words}"

    def show(self, text: str) -> None:
        """Replaces what is shown."""
        if self.notebook:
            from IPython.display import display  # type: ignore[import-not-found]

            content = {"text/plain": text}
            if self.handle is None:
                self.handle = display(content, raw=True, display_id=True)
            else:
                self.handle.update(content, raw=True)
        else:
            sys.stderr.write("\r" + text.ljust(self.width))
            sys.stderr.flush()
            self.width = len(text)

    def close(self) -> None:
        """Clears the line of a terminal."""
        if not self.notebook and self.width:
            sys.stderr.write("\r" + " " * self.width + "\r")
            sys.stderr.flush()


def watcher(progress: Union[None, bool, Watcher]) -> Tuple[Optional[Callable[[int, int, List[Tuple[str, float]]], None]], Callable[[], None]]:
    """What the core calls after each step, and what is called at the end."""
    shown: Optional[Watcher]
    close: Callable[[], None] = lambda: None
    if callable(progress):
        shown = progress
    elif progress or (progress is None and (in_notebook() or sys.stderr.isatty())):
        bar = Bar(in_notebook())
        shown, close = bar, bar.close
    else:
        return None, close
    return lambda step, steps, figures: shown(step, steps, dict(figures)), close
