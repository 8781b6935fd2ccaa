"""The command ``costate``: jobs of a server, from a terminal."""

from __future__ import annotations

import argparse
import datetime
import math
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import costate
from costate import _plain
from costate._job import Job
from costate._job_results import get_job
from costate._progress import Progress
from costate.client import Client
from costate.errors import CostateError, JobError, StillRunning

OK, FAILED, NOT_SUCCEEDED, NOT_ENDED, INTERRUPTED = 0, 1, 3, 4, 130

_EXIT_CODES = """\
exit codes:
  0    done; of `watch` and `result`: the job has succeeded
  1    the call failed; why is on standard error
  2    the command line makes no sense
  3    the job has failed, was cancelled or is dead
  4    the job has not ended (yet, or within --timeout)
"""
_SHORT = 12  # digits of an id that tell jobs apart
_LEAST_PREFIX = 4
_SPOKEN = {
    "succeeded": "has succeeded",
    "failed": "has failed",
    "cancelled": "is cancelled",
    "dead": "is dead",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        with _connect(options) as client:
            code: int = options.run(client, options)
        sys.stdout.flush()
        return code
    except StillRunning as error:
        return _complain(error, NOT_ENDED)
    except JobError as error:
        return _complain(error, NOT_SUCCEEDED)
    except (CostateError, OSError, ValueError) as error:
        if isinstance(error, BrokenPipeError):  # The reader has seen enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK
        return _complain(error, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED


def _complain(error: Exception, code: int) -> int:
    print(f"costate: {error}", file=sys.stderr)
    return code


def _connect(options: argparse.Namespace) -> Client:
    return costate.connect(
        options.address,
        timeout=options.call_timeout,
        tls=True if options.tls else None,
        root_certificates=options.root_certificates,
        certificate=options.certificate,
        private_key=options.private_key,
        server_name=options.server_name,
    )


# The command line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="costate", description="Talks to a Costate server: its queue of durable jobs."
    )
    parser.add_argument("--version", action="version", version=f"costate {costate.__version__}")
    topics = parser.add_subparsers(metavar="TOPIC", required=True)
    jobs = topics.add_parser(
        "jobs",
        help="list, watch, cancel jobs, get their results",
        description="Jobs of a server. A job goes by its name, or by as many first digits of "
        "its id as tell it apart.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = jobs.add_subparsers(metavar="COMMAND", required=True)
    common = _common_options()

    def command(name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=text[0].lower() + text[1:],
            description=text + ".",
            parents=[common],
            epilog=_EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(run=run)
        return made

    _list_options(command("list", _list, "List jobs, the newest first"))
    command("show", _show, "Show what is known of a job").add_argument("job", metavar="JOB")
    watch = command("watch", _watch, "Watch a job until it has ended")
    watch.add_argument("job", metavar="JOB")
    _waiting_options(watch)
    watch.add_argument(
        "--after", type=int, default=0, metavar="N", help="only events after the N-th"
    )
    result = command("result", _result, "Print or save the result of a job")
    result.add_argument("job", metavar="JOB")
    result.add_argument("--wait", action="store_true", help="wait until it has ended")
    _waiting_options(result)
    result.add_argument(
        "--output",
        type=pathlib.Path,
        metavar="FILE",
        help="write everything to FILE, as .json or .npz (NumPy)",
    )
    for name, run, text in (
        ("cancel", _cancel, "Cancel jobs; what has ended stays as it is"),
        ("requeue", _requeue, "Put failed, cancelled or dead jobs back into the queue"),
        ("delete", _delete, "Forget jobs that have ended, with their results"),
    ):
        command(name, run, text).add_argument("jobs", metavar="JOB", nargs="+")
    return parser


def _common_options() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON, for programs")
    server = common.add_argument_group("the server")
    server.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="default: the environment variable COSTATE_ADDRESS, else localhost:4310",
    )
    server.add_argument("--tls", action="store_true", help="encrypt; certificates imply it")
    server.add_argument("--root-certificates", metavar="PEM", help="the server is checked by these")
    server.add_argument("--certificate", metavar="PEM", help="proves this client, with its key")
    server.add_argument("--private-key", metavar="PEM", help="of that certificate")
    server.add_argument("--server-name", metavar="NAME", help="expected in its certificate")
    server.add_argument(
        "--call-timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="deadline of each call; default 60",
    )
    return common


def _waiting_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="how long to wait; default: no bound"
    )
    parser.add_argument(
        "--patience",
        type=_seconds,
        default=300.0,
        metavar="SECONDS",
        help="how long to go on trying while no server answers; default 300",
    )


def _list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state",
        action="append",
        metavar="STATE",
        help="queued, running, succeeded, failed, cancelled or dead; may be repeated",
    )
    parser.add_argument("--kind", action="append", metavar="KIND", help="fit, solve, ...; likewise")
    parser.add_argument("--title", metavar="TEXT", help="only those whose title contains TEXT")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="at most N; default 50")
    parser.add_argument("--all", action="store_true", help="without a limit")
    parser.add_argument("--full", action="store_true", help="whole names")


def _seconds(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is no time above 0")
    return value


# The commands


def _find(client: Client, name: str) -> Job[Any]:
    """A job by name, or by the first digits of its id."""
    digits = name.rpartition("/")[2].lower()
    if len(digits) >= 32 or len(digits) < _LEAST_PREFIX:
        return client.job(name)
    found = [job for job in client.jobs(limit=None) if _id(job).startswith(digits)]
    if len(found) > 1:
        raise ValueError(f"{len(found)} jobs begin with {digits!r}; give more digits")
    return found[0].refresh() if found else client.job(name)


def _id(job: Job[Any]) -> str:
    return job.name.rpartition("/")[2]


def _list(client: Client, options: argparse.Namespace) -> int:
    jobs = client.jobs(
        state=options.state,
        kind=options.kind,
        name=options.title,
        limit=None if options.all else options.limit,
    )
    if options.json:
        print(_plain.json_text([job.to_dict() for job in jobs]))
        return OK
    if not jobs:
        print("no jobs", file=sys.stderr)
        return OK
    header = ["JOB", "KIND", "STATE", "DONE", "BEST", "AGE", "TITLE"]
    rows = [_row(job, options.full) for job in jobs]
    print("\n".join(_table([header, *rows], shutil.get_terminal_size().columns)))
    if not options.all and len(jobs) == options.limit:
        print(f"the newest {options.limit}; --all lists every one", file=sys.stderr)
    return OK


def _row(job: Job[Any], full: bool) -> list[str]:
    done, parts = job.starts if job.starts[1] else job.tasks
    now = datetime.datetime.now(datetime.timezone.utc)
    state = "cancelling" if job.cancel_requested and not job.ended else job.state
    return [
        job.name if full else _id(job)[:_SHORT],
        job.kind,
        state,
        f"{done}/{parts}" if parts > 1 else "",
        "" if math.isnan(job.best_objective) else f"{job.best_objective:.6g}",
        _age((now - job.created).total_seconds()),
        job.display_name,
    ]


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(int(seconds), 0)}s"


def _table(rows: list[list[str]], width: int) -> list[str]:
    """Lines not longer than `width`, at the cost of the last column."""
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    lines = []
    for row in rows:
        line = "  ".join(f"{cell:<{size}}" for cell, size in zip(row, widths)).rstrip()
        lines.append(line if len(line) <= width else line[: max(width - 1, 1)] + "~")
    return lines


def _show(client: Client, options: argparse.Namespace) -> int:
    _print_job(_find(client, options.job), options)
    return OK


def _print_job(job: Job[Any], options: argparse.Namespace) -> None:
    if options.json:
        print(_plain.json_text(job.to_dict()))
        return
    for name, text in job.summary():
        print(f"{name:<9} {text}")


def _watch(client: Client, options: argparse.Namespace) -> int:
    job = _find(client, options.job)
    live = sys.stderr.isatty() and not options.json
    events = job.progress(
        bar=live, after=options.after, timeout=options.timeout, patience=options.patience
    )
    for event in events:
        if options.json:
            print(_plain.json_text(event, indent=None), flush=True)
        elif not live or event.note:
            print(_event_line(event), flush=True)
    if job.error is not None:
        raise job.error
    if live:
        print(f"{job.name} {_SPOKEN[job.state]}")
    return OK


def _event_line(event: Progress) -> str:
    return f"{event.time.astimezone():%H:%M:%S}  {event}"


def _result(client: Client, options: argparse.Namespace) -> int:
    form = _form(options.output)
    job = _find(client, options.job)
    if options.wait or options.timeout is not None:
        job.wait(options.timeout, bar=None, patience=options.patience)
    elif not job.ended:
        raise StillRunning(f"{job.name} is {job.state}; --wait waits for its end", job=job.name)
    result = job.result()
    if form or options.json:
        found = _plain_result(client, job, result)
    if form == "json":
        options.output.write_text(_plain.json_text(found) + "\n", encoding="utf-8")
    elif form == "npz":
        with options.output.open("wb") as file:
            np.savez_compressed(file, **_plain.flat_arrays(found))
    if options.json:
        print(_plain.json_text(found))
    elif form:
        print(f"wrote {options.output}")
    else:
        print(result)
    return OK


def _form(output: pathlib.Path | None) -> str:
    if output is None:
        return ""
    form = output.suffix.lower().lstrip(".")
    if form not in ("json", "npz"):
        raise ValueError(f"--output: {output} ends neither in .json nor in .npz")
    return form


def _plain_result(client: Client, job: Job[Any], result: Any) -> Any:
    if isinstance(result, (costate.FitResult, costate.ProfileResult)):
        return result.to_dict()
    message = client._run(get_job(job.name, None))
    return _plain.plain_message(getattr(message.result, message.result.WhichOneof("result")))


def _each(client: Client, options: argparse.Namespace, do: Callable[[Job[Any]], object]) -> int:
    """Does it to every job named, and complains of those where it cannot."""
    code, done = OK, []
    for name in options.jobs:
        try:
            job = _find(client, name)
            do(job)
            done.append(job)
        except (CostateError, ValueError) as error:
            code = _complain(error, FAILED)
    if options.json:
        print(_plain.json_text([job.to_dict() for job in done]))
    return code


def _cancel(client: Client, options: argparse.Namespace) -> int:
    def cancel(job: Job[Any]) -> None:
        job.cancel()
        if not options.json:
            print(f"{job.name} {_SPOKEN.get(job.state, 'is to be cancelled')}")

    return _each(client, options, cancel)


def _requeue(client: Client, options: argparse.Namespace) -> int:
    def requeue(job: Job[Any]) -> None:
        job.requeue()
        if not options.json:
            print(f"{job.name} is {job.state}")

    return _each(client, options, requeue)


def _delete(client: Client, options: argparse.Namespace) -> int:
    def delete(job: Job[Any]) -> None:
        job.delete()
        if not options.json:
            print(f"{job.name} is deleted")

    return _each(client, options, delete)
