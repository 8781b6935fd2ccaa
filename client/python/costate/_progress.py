"""How a job is getting on: events as they come, and a line that shows them."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import html
import math
import random
import shutil
import sys
import time
from typing import Any, TextIO

from costate import _proto, _rpc
from costate._fit_options import OUTCOMES
from costate._rpc import Rpc
from costate.errors import CostateError, DeadlineExceeded, Overloaded, StillRunning, Unavailable

STATES = {
    number: name[len("STATE_") :].lower()
    for name, number in _proto.enum_of_message("Job", "State").items()
}
ENDED = ("succeeded", "failed", "cancelled", "dead")

_FIRST_BACKOFF = 0.1
_LONGEST_BACKOFF = 5.0
_REDRAW_SECONDS = 0.1
_ERASE = "\r\x1b[K"


@dataclasses.dataclass(frozen=True)
class Progress:
    """One event of a job.

    Figures of the whole job are as of this event; they are NaN or 0 before the first one that
    carries them, and for jobs that are no fits.

    Attributes
    ----------
    sequence
        Number of the event, from 1.
    time
        When it happened, in UTC.
    state
        Of the job: "queued", "running", "succeeded", "failed", "cancelled" or "dead".
    note
        A sentence for people, where the event is one.
    start, iteration, objective, gradient_norm
        Of the start of a fit that the event is about; None for other events.
    outcome
        How that start has ended, as in `FitStart`; empty while it goes on.
    best_objective
        Of the whole job.
    starts, starts_done, starts_failed
        In all, ended, and of those diverged.
    iterations
        Over all starts.
    """

    sequence: int
    time: datetime.datetime
    state: str
    note: str = ""
    start: int | None = None
    iteration: int | None = None
    objective: float | None = None
    gradient_norm: float | None = None
    outcome: str = ""
    best_objective: float = math.nan
    starts: int = 0
    starts_done: int = 0
    starts_failed: int = 0
    iterations: int = 0

    @property
    def fraction(self) -> float:
        """Share of the starts that have ended; 1 for a job that has succeeded, NaN if unknown."""
        if self.state == "succeeded":
            return 1.0
        return self.starts_done / self.starts if self.starts else math.nan

    def __str__(self) -> str:
        if self.note:
            return self.note
        if self.start is None:
            return self.state
        text = f"start {self.start}, iteration {self.iteration}: objective {self.objective:.8g}"
        if self.outcome:
            text += f", {self.outcome.replace('_', ' ')}"
        return f"{text}; best {self.best_objective:.8g}"


class Watch:
    """The state of watching one job, apart from how its calls are run.

    Parameters
    ----------
    job
        Its name.
    after
        Sequence number of the last event that is known.
    patience
        Seconds to go on trying while no server answers.
    timeout
        Seconds in all; None for no bound.
    """

    def __init__(self, job: str, after: int, patience: float, timeout: float | None) -> None:
        self.job = job
        self.newest: Progress | None = None
        self._sequence = after
        self._patience = patience
        self._trouble: float | None = None  # when it began
        self._tries = 0
        self._end = None if timeout is None else time.monotonic() + timeout

    def rpc(self) -> Rpc:
        """The call that goes on where the last event was."""
        request = _rpc.WATCH_JOB.request_class(name=self.job, from_sequence=self._sequence + 1)
        return Rpc(_rpc.WATCH_JOB, request, self.remaining())

    def remaining(self) -> float:
        """Seconds left; raises `StillRunning` when there are none."""
        if self._end is None:
            return math.inf
        left = self._end - time.monotonic()
        if left <= 0:
            raise self._late()
        return left

    def take(self, message: Any) -> Progress | None:
        """Takes an answer; returns what it says, or None if it was known."""
        self._trouble, self._tries = None, 0
        event = message.event
        if event.sequence <= self._sequence:
            return None
        self._sequence = event.sequence
        self.newest = _progress(event, self.newest)
        return self.newest

    @property
    def saw_the_end(self) -> bool:
        """Whether the newest event ended the job."""
        return self.newest is not None and self.newest.state in ENDED

    def delay(self, error: CostateError | None) -> float:
        """Seconds to wait before the next call, after an error or an early end of the stream.

        Raises the error where another try would not help, or patience is over.
        """
        self.remaining()  # Where time is over, that is what there is to say.
        if isinstance(error, DeadlineExceeded):
            error = None  # The server's own bound on a call.
        if error is not None and not isinstance(error, (Unavailable, Overloaded)):
            raise error
        now = time.monotonic()
        if self._trouble is None:
            self._trouble = now
        if error is not None and now - self._trouble > self._patience:
            raise error
        delay: float = min(_FIRST_BACKOFF * 2.0**self._tries, _LONGEST_BACKOFF)
        self._tries += 1
        if isinstance(error, Overloaded) and error.retry_after is not None:
            delay = max(delay, error.retry_after)
        # Many clients must not come back in step.
        return min(delay * random.uniform(0.75, 1.25), self.remaining())

    def _late(self) -> StillRunning:
        return StillRunning(f"{self.job} has not ended in time; it goes on", job=self.job)


def _progress(event: Any, before: Progress | None) -> Progress:
    known = {} if before is None else {name: getattr(before, name) for name in _OF_THE_JOB}
    found: dict[str, Any] = {
        **known,
        "sequence": event.sequence,
        "time": event.time.ToDatetime(tzinfo=datetime.timezone.utc),
        "state": known.get("state", "queued"),
    }
    kind = event.WhichOneof("event")
    if kind == "state":
        found["state"] = STATES.get(event.state, str(event.state))
    elif kind == "note":
        found["note"] = event.note
    elif kind == "fit_progress":
        fit = event.fit_progress
        if before is None or before.state == "queued":
            found["state"] = "running"
        found.update(
            start=fit.start,
            iteration=fit.iteration,
            objective=fit.objective,
            gradient_norm=fit.gradient_norm,
            best_objective=fit.best_objective,
            outcome=OUTCOMES.name(fit.outcome) if fit.outcome else "",
        )
        if fit.HasField("summary"):
            summary = fit.summary
            found.update(
                starts=summary.starts,
                starts_done=summary.starts_done,
                starts_failed=summary.starts_failed,
                iterations=summary.iterations,
            )
    return Progress(**found)


_OF_THE_JOB = ("state", "best_objective", "starts", "starts_done", "starts_failed", "iterations")


def status_line(title: str, progress: Progress, seconds: float, width: int) -> str:
    """One line of text, shorter than `width`; what matters least goes first."""
    best = progress.best_objective
    head = [] if progress.state == "running" and progress.starts else [progress.state]
    if progress.starts:
        head.insert(0, f"{progress.starts_done}/{progress.starts} starts")
    tail = [_clock(seconds)]
    more = [
        f"{progress.starts_failed} diverged" if progress.starts_failed else "",
        "" if math.isnan(best) else f"best {best:.8g}",
        f"{progress.iterations} iterations" if progress.iterations else "",
    ]
    more = [part for part in more if part]
    bar = f"{_bar(progress.fraction, 20)} " if progress.starts else ""
    while True:
        text = f"{title}  {bar}{', '.join([*head, *more, *tail])}"
        if len(text) < width:
            return text
        if more:
            more.pop()
        elif bar:
            bar = ""
        else:
            return text[: max(width - 2, 1)] + "~"


def _bar(fraction: float, size: int) -> str:
    full = 0 if math.isnan(fraction) else round(fraction * size)
    return "[" + "#" * full + "." * (size - full) + "]"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Bar:
    """Shows progress somewhere; this one nowhere.

    Between `show` and `hide` the line stands; hide it before anything else is printed.
    """

    def show(self, progress: Progress) -> None:
        """Draws the line again, where something has changed and not too often."""

    def hide(self) -> None:
        """Takes it away."""

    def close(self) -> None:
        """Leaves the last line where it is."""


class TerminalBar(Bar):
    """A line that is written over itself."""

    def __init__(self, title: str, began: datetime.datetime | None, stream: TextIO) -> None:
        self._title = title
        self._began = began
        self._stream = stream
        self._newest: Progress | None = None
        self._shown = ""
        self._drawn = -math.inf

    def show(self, progress: Progress) -> None:
        self._newest = progress
        # A line that stands may stand a little longer; one that is hidden may not.
        if not self._shown or time.monotonic() - self._drawn >= _REDRAW_SECONDS:
            self._draw(progress)

    def hide(self) -> None:
        if self._shown:
            self._write(_ERASE)
            self._shown = ""

    def close(self) -> None:
        if self._newest is not None:
            self._draw(self._newest)
            self._write("\n")

    def _draw(self, progress: Progress) -> None:
        width = shutil.get_terminal_size().columns
        line = status_line(self._title, progress, _elapsed(self._began, progress), width)
        self._drawn = time.monotonic()
        if line != self._shown:
            self._write(_ERASE + line)
            self._shown = line

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # A closed terminal ends no fit.
            self._stream.write(text)
            self._stream.flush()


class NotebookBar(Bar):
    """A line in the output of a notebook's cell."""

    def __init__(self, title: str, began: datetime.datetime | None, display: Any) -> None:
        self._title = title
        self._began = began
        self._display = display
        self._newest: Progress | None = None
        self._handle: Any = None
        self._drawn = -math.inf

    def show(self, progress: Progress) -> None:
        self._newest = progress
        if time.monotonic() - self._drawn >= _REDRAW_SECONDS:
            self._draw(progress)

    def close(self) -> None:
        if self._newest is not None:
            self._draw(self._newest)

    def _draw(self, progress: Progress) -> None:
        self._drawn = time.monotonic()
        line = status_line(self._title, progress, _elapsed(self._began, progress), 100)
        done = progress.fraction
        value = "" if math.isnan(done) else f" value='{done:.4f}'"
        text = f"<progress max='1'{value}></progress> <code>{html.escape(line)}</code>"
        shown = _Html(text, line)
        if self._handle is None:
            self._handle = self._display(shown, display_id=True)
        else:
            self._handle.update(shown)


class _Html:
    """Something that IPython shows."""

    def __init__(self, text: str, plain: str) -> None:
        self._text = text
        self._plain = plain

    def _repr_html_(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return self._plain


def make_bar(bar: bool | None, title: str, began: datetime.datetime | None) -> Bar:
    """A bar in the notebook or terminal this runs in; None asks for one where there is either."""
    if bar is False:
        return Bar()
    display = _notebook_display()
    if display is not None:
        return NotebookBar(title, began, display)
    if bar or sys.stderr.isatty():
        return TerminalBar(title, began, sys.stderr)
    return Bar()


def _notebook_display() -> Any:
    """IPython's `display` where this runs in a notebook's kernel, else None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return display


def _elapsed(began: datetime.datetime | None, progress: Progress) -> float:
    if began is None:
        return 0.0
    now = progress.time if progress.state in ENDED else datetime.datetime.now(datetime.timezone.utc)
    return (now - began).total_seconds()
