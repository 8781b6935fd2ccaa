"""What a client was promised, and whether it was kept.

L1  what was acknowledged ends          L5  events have no gaps, the best never gets worse
L2  one result for each task            L6  at most a checkpoint's work is done twice
L3  the result of a run without faults  L7  a lost task is taken up within lease + poll + 1 s
L4  epochs rise; no older one writes    L8  nothing is left over at the end
"""

import collections
import math
import sqlite3
import threading
import time

import grpc
from costated import ENDED, STATES


class Ledger:
    """The promises: names by key, cancels, events as they were seen. Any thread may write."""

    def __init__(self):
        self._lock = threading.Lock()
        self.names = {}  # key -> name
        self.specs = {}  # name -> index of its spec
        self.cancelled = set()
        self.events = collections.defaultdict(list)  # name -> events seen, from the first on
        self.problems = []
        self._watched = set()  # names that somebody watches, or has watched to the end

    def acknowledge(self, key, name, spec):
        with self._lock:
            known = self.names.setdefault(key, name)
            if known != name:
                self.problems.append(f"{key} is {known} and {name}")
            self.specs[name] = spec

    def acknowledge_cancel(self, name):
        with self._lock:
            self.cancelled.add(name)

    def see(self, name, event):
        with self._lock:
            seen = self.events[name]
            if event.sequence != len(seen) + 1:
                self.problems.append(f"{name}: event {event.sequence} after {len(seen)}")
            seen.append(event)

    def seen(self, name):
        with self._lock:
            return len(self.events[name])

    def all_names(self):
        with self._lock:
            return list(self.specs)

    def next_to_watch(self):
        """A name that nobody has had before; None if there is none."""
        with self._lock:
            for name in self.specs:
                if name not in self._watched:
                    self._watched.add(name)
                    return name
        return None


def until_acknowledged(call, stopped=lambda: False):
    """Repeats a call while nobody answers, as a client would."""
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            again = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
            if error.code() not in (*again, grpc.StatusCode.CANCELLED) or stopped():
                raise


def await_all(stub, ledger, timeout=120):
    """Waits until every job has ended; dead ones are put back, and counted."""
    requeued = 0
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        jobs = {job.name: STATES[job.state] for job in stub.list()}
        dead = [name for name, state in jobs.items() if state == "STATE_DEAD"]
        for name in dead:
            stub.requeue(name)
        requeued += len(dead)
        if not dead and all(jobs.get(name) in ENDED for name in ledger.specs):
            return requeued
        time.sleep(0.1)
    left = [name for name in ledger.specs if jobs.get(name) not in ENDED]
    raise TimeoutError(f"{len(left)} jobs have not ended, as {left[:3]}")


def check_jobs(stub, ledger, expected):
    """L1, L3 and L5, as a client sees them. `expected`: result bytes by spec."""
    problems = list(ledger.problems)
    for name, spec in ledger.specs.items():
        job = stub.get(name)
        state = STATES[job.state]
        if state == "STATE_CANCELLED" and name in ledger.cancelled:
            pass
        elif state != "STATE_SUCCEEDED":
            problems.append(f"L1 {name} is {state}: {job.error.message}")
        elif job.result.SerializeToString(deterministic=True) != expected[spec]:
            problems.append(f"L3 {name} has another result than a run without faults")
        problems += _check_events(name, list(stub.watch(name)), ledger.events[name], job)
    return problems


def _check_events(name, events, seen, job):
    if [event.sequence for event in events] != list(range(1, len(events) + 1)):
        yield f"L5 {name}: gaps in the events"
    if len(events) != job.last_event:
        yield f"L5 {name}: {len(events)} events, {job.last_event} promised"
    if events[: len(seen)] != seen:
        yield f"L5 {name}: events are not what they were"
    best = math.inf
    for event in events:
        if event.HasField("fit_progress"):
            if event.fit_progress.best_objective > best:
                yield f"L5 {name}: the best got worse at {event.sequence}"
            best = event.fit_progress.best_objective


def check_repeats(stub, names):
    """L6 where every iteration is a checkpoint: what was stored is never done again."""
    for name in names:
        reached = collections.defaultdict(int)
        for event in stub.watch(name):
            if not event.HasField("fit_progress"):
                continue
            progress = event.fit_progress
            if progress.iteration < reached[progress.start]:
                yield f"L6 {name}: start {progress.start} went back to {progress.iteration}"
            reached[progress.start] = max(reached[progress.start], progress.iteration)


def check_store(directory):
    """L2, L4 and the leases of L8, in the database of a server that has ended."""
    database = sqlite3.connect(f"file:{directory / 'jobs' / 'jobs.db'}?mode=ro", uri=True)
    with database:
        results = collections.Counter()
        for job, task, _ in database.execute("SELECT job, task, epoch FROM result"):
            results[job, task] += 1
        epochs, done = collections.defaultdict(list), collections.defaultdict(list)
        attempts = database.execute(
            "SELECT job, task, epoch, start_time, end_time, reason FROM attempt "
            "ORDER BY job, task, epoch"
        )
        started = {}
        for job, task, epoch, start, end, reason in attempts:
            epochs[job, task].append(epoch)
            if start < started.setdefault((job, task), start):
                yield f"L4 task {task} of {job}: attempt {epoch} began before the one before"
            started[job, task] = start
            if reason == "done":
                done[job, task].append(epoch)
            if end is None or end < start:
                yield f"L4 task {task} of {job}: attempt {epoch} has no end"
        tasks = database.execute(
            "SELECT task.job, task, task.state, epoch, job.state "
            "FROM task JOIN job ON job.seq = task.job"
        )
        for job, task, state, epoch, job_state in tasks:
            of_task = epochs[job, task]
            if of_task != sorted(set(of_task)) or (of_task and of_task[-1] != epoch):
                yield f"L4 task {task} of {job}: epochs {of_task}, now {epoch}"
            if state == 1:
                yield f"L8 task {task} of {job} still has a lease"
            if job_state == 2 and (results[job, task], len(done[job, task])) != (1, 1):
                yield f"L2 task {task} of {job}: {results[job, task]} results"
        for table in ("result", "checkpoint"):
            for job, task, epoch in database.execute(f"SELECT job, task, epoch FROM {table}"):
                if epoch not in epochs[job, task]:
                    yield f"L4 a {table} of task {task} of {job} by nobody"
        for job, task, epoch in database.execute("SELECT job, task, epoch FROM result"):
            if done[job, task] != [epoch]:
                yield f"L4 task {task} of {job}: result of {epoch}, done by {done[job, task]}"
    database.close()
