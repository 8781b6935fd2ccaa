"""Nothing acknowledged is lost, done twice or changed, whatever happens to the server.

The program itself is killed, paused, starved and lied to; what the client was promised is kept
outside of it (ledger.py) and compared with what is there in the end.
"""

import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import costated
import grpc
import pytest
from costated import ENDED, STATES, Costated, Stub, serving
from ledger import (
    Ledger,
    await_all,
    check_jobs,
    check_repeats,
    check_store,
    until_acknowledged,
)

pytestmark = pytest.mark.timeout(900)

KILLS = int(os.environ.get("COSTATE_LEDGER_KILLS", "200"))
PLACES = (
    "after_create",
    "after_claim",
    "before_checkpoint",
    "after_checkpoint",
    "before_complete",
    "after_complete",
)


def small_specs():
    """Requests of every sort: at once, in a few steps, in many, in several tasks."""
    return [
        costated.solve(),
        costated.gradient(),
        costated.fit(starts=4, seed=1),
        costated.fit("FIT_METHOD_LBFGSB", starts=3, seed=2),
        costated.slow_fit(60),
        costated.profile((1.996, 0.697)),
    ]


def fit_that_lasts(seconds):
    """A fit that runs at least that long on this machine, and its result without faults."""
    iterations = 20_000
    with serving(checkpoint="1h") as (_, stub):
        while True:
            spec = costated.slow_fit(iterations)
            job = stub.await_end(stub.create(spec).name)
            assert STATES[job.state] == "STATE_SUCCEEDED"
            took = (job.end_time.ToNanoseconds() - job.start_time.ToNanoseconds()) / 1e9
            if took >= seconds:
                return spec, job.result.SerializeToString(deterministic=True)
            iterations = int(iterations * max(2, min(20, 1.3 * seconds / took)))


def results_without_faults(specs):
    """The bytes of the result of each, by a server that nothing happens to."""
    with serving(checkpoint="1h") as (_, stub):
        names = [stub.create(spec).name for spec in specs]
        jobs = [stub.await_end(name) for name in names]
    for job in jobs:
        assert STATES[job.state] == "STATE_SUCCEEDED", job.error.message
    return [job.result.SerializeToString(deterministic=True) for job in jobs]


class Clients:
    """Submits, cancels and watches from threads of its own, until it is told to stop."""

    def __init__(self, address, ledger, specs, seed):
        self._stub = Stub(address)
        self._ledger = ledger
        self._specs = specs
        self._random = random.Random(seed)
        self._stopped = threading.Event()
        self.crashed = []
        self._threads = [
            threading.Thread(target=self._guard, args=(work,))
            for work in (self._submit, self._watch, self._watch)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._stub.close()

    def _guard(self, work):
        try:
            work()
        except grpc.RpcError as error:
            if not self._stopped.is_set():
                self.crashed.append(error)

    def _submit(self):
        number = 0
        while not self._stopped.is_set():
            spec = self._random.randrange(len(self._specs))
            key = f"job {number}"
            job = until_acknowledged(
                lambda spec=spec, key=key: self._stub.create(self._specs[spec], key, timeout=2),
                self._stopped.is_set,
            )
            self._ledger.acknowledge(key, job.name, spec)
            number += 1
            if self._random.random() < 0.1:
                name = self._random.choice(self._ledger.all_names())
                until_acknowledged(
                    lambda name=name: self._stub.cancel(name, timeout=2), self._stopped.is_set
                )
                self._ledger.acknowledge_cancel(name)
            self._stopped.wait(0.1)

    def _watch(self):
        while not self._stopped.is_set():
            name = self._ledger.next_to_watch()
            if name is None:
                self._stopped.wait(0.05)
            else:
                self._follow(name)

    # Goes on where the stream broke.
    def _follow(self, name):
        while not self._stopped.is_set():
            try:
                for event in self._stub.watch(name, self._ledger.seen(name) + 1, timeout=2):
                    self._ledger.see(name, event)
                return
            except grpc.RpcError:
                pass


def kill_at_random(server, kills, rng):
    """As many lives of a server as there are kills; half of them end at a named place."""
    at_places = 0
    for number in range(kills):
        place = None
        if number % 2 == 0:
            place = f"{PLACES[number // 2 % len(PLACES)]}:{rng.randint(1, 6)}"
        server.start(place, wait=False)
        if server.await_serving():
            end = time.monotonic() + (3 if place else rng.uniform(0, 0.3))
            while time.monotonic() < end and server.running():
                time.sleep(0.005)
        at_places += not server.running()
        server.kill()
    return at_places


# F1 and F2: with the store inside, the worker, the server and the store die together.
@pytest.mark.slow
def test_kills_at_random_and_at_every_place(tmp_path):
    specs = small_specs()
    expected = results_without_faults(specs)
    server = Costated(tmp_path)
    ledger = Ledger()
    clients = Clients(server.address, ledger, specs, seed=1)
    at_places = kill_at_random(server, KILLS, random.Random(2))
    server.start()
    clients.stop()
    assert clients.crashed == []
    assert at_places >= KILLS // 4, "named places were reached"
    stub = Stub(server.address)
    requeued = await_all(stub, ledger)
    problems = check_jobs(stub, ledger, expected)
    fits = [name for name, spec in ledger.specs.items() if spec >= 2]
    problems += check_repeats(stub, fits)
    stub.close()
    server.terminate()
    problems += check_store(tmp_path)
    print(
        f"{KILLS} kills, {at_places} of them at named places; {len(ledger.specs)} jobs, "
        f"{len(ledger.cancelled)} cancelled, {requeued} put back"
    )
    assert problems == []
    assert len(ledger.specs) >= KILLS / 4


# L8.
@pytest.mark.slow
def test_nothing_is_left_over(tmp_path):
    specs = small_specs()
    server = Costated(tmp_path).start()
    stub = Stub(server.address)

    def wave():
        names = [stub.create(specs[i % len(specs)]).name for i in range(60)]
        for name in names:
            list(stub.watch(name))
            assert STATES[stub.get(name).state] == "STATE_SUCCEEDED"
        time.sleep(0.5)
        return server.threads(), server.descriptors(), server.resident_bytes()

    wave()
    threads, descriptors, resident = wave()
    for _ in range(2):
        threads_now, descriptors_now, resident_now = wave()
    # Threads of gRPC come and go by one or two.
    assert threads_now <= threads + 3
    assert descriptors_now <= descriptors + 3
    assert resident_now <= 1.1 * resident
    stub.close()
    server.terminate()
    assert list(check_store(tmp_path)) == []


# F3: stopped past its lease, then let go on.
@pytest.mark.slow
def test_a_pause_past_the_lease(tmp_path):
    spec, expected = fit_that_lasts(3)
    with serving(directory=tmp_path, lease="1s", checkpoint="50ms") as (server, stub):
        name = stub.create(spec, "paused").name
        for _ in range(2):
            running = stub.get(name).last_event
            while stub.get(name).last_event < running + 2 and not stub.get(name).HasField(
                "end_time"
            ):
                time.sleep(0.02)
            server.signal(signal.SIGSTOP)
            time.sleep(2.5)
            server.signal(signal.SIGCONT)
            resumed = time.time()
        job = stub.await_end(name)
        assert STATES[job.state] == "STATE_SUCCEEDED"
        assert job.result.SerializeToString(deterministic=True) == expected
        assert job.attempts == 3, "the fit was too short for this test"
        assert server.terminate() == 0
    assert list(check_store(tmp_path)) == []
    database = sqlite3.connect(tmp_path / "jobs" / "jobs.db")
    attempts = database.execute("SELECT start_time, reason FROM attempt ORDER BY epoch").fetchall()
    database.close()
    assert attempts[0][1] == "lease lost" and attempts[-1][1] == "done"
    # L7: taken up within lease + poll + 1 s of the end of the last pause.
    assert attempts[-1][0] / 1e9 <= resumed + 1 + 1 + 1


# F8. The reserve of the store is 16 MiB.
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
@pytest.mark.slow
def test_a_full_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", disk])
    if mounted.returncode != 0:
        pytest.skip("cannot mount a file system here")
    try:
        _fill_and_recover(disk)
    finally:
        subprocess.run(["umount", disk], check=False)


def _fill_and_recover(disk):
    (expected,) = results_without_faults([costated.slow_fit(2000)])
    with serving(directory=disk) as (server, stub):
        running = stub.create(costated.slow_fit(2000), "running").name
        names = [running]
        ballast = disk / "ballast"
        fill(ballast, 3 << 20)
        large = costated.solve()
        large.solve.simulation.model.text += "# " + "x" * 200_000 + "\n"
        error = None
        for number in range(200):
            try:
                names.append(stub.create(large, f"large {number}").name)
            except grpc.RpcError as refused:
                error = refused
                break
        assert error is not None and error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert str(disk) not in error.details()
        # What runs is completed.
        job = stub.await_end(running)
        assert STATES[job.state] == "STATE_SUCCEEDED", job.error.message
        assert job.result.SerializeToString(deterministic=True) == expected
        # With room again it goes on, without a restart.
        ballast.unlink()
        after = until_room(lambda: stub.create(costated.solve(), "after").name)
        for name in [*names, after]:
            assert STATES[stub.await_end(name).state] == "STATE_SUCCEEDED"
        assert server.running()


def fill(path, left):
    """Makes a file as large as leaves so many bytes of its disk."""
    with open(path, "wb") as file:
        while True:
            disk = os.statvfs(path)
            more = disk.f_bavail * disk.f_frsize - left
            if more <= 0:
                return
            file.write(bytes(min(more, 1 << 20)))
            file.flush()


def until_room(call, timeout=30):
    end = time.monotonic() + timeout
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED or time.monotonic() > end:
                raise
            time.sleep(0.2)


# F9: flipped, torn, and from the future.
@pytest.mark.parametrize("damage", ["flipped", "torn", "future"])
@pytest.mark.slow
def test_a_damaged_checkpoint(tmp_path, damage):
    spec = costated.slow_fit(1500)
    (expected,) = results_without_faults([spec])
    with serving(directory=tmp_path) as (server, stub):
        name = stub.create(spec, "damaged").name
        database = sqlite3.connect(tmp_path / "jobs" / "jobs.db")
        newest_first = "SELECT sequence, payload FROM checkpoint ORDER BY sequence DESC"
        while len(database.execute(newest_first).fetchall()) < 2:
            time.sleep(0.01)
        server.kill()
        rows = database.execute(newest_first).fetchall()
        assert len(rows) == 2, "two are kept"
        sequence, payload = rows[0]
        if damage == "flipped":
            payload = payload[:-9] + bytes([payload[-9] ^ 4]) + payload[-8:]
        elif damage == "torn":
            payload = payload[: len(payload) // 2]
        else:
            payload = payload[:4] + bytes([payload[4] + 1]) + payload[5:]
        with database:
            database.execute(
                "UPDATE checkpoint SET payload = ? WHERE sequence = ?", (payload, sequence)
            )
        database.close()
        server.start()
        job = stub.await_end(name)
        assert STATES[job.state] == "STATE_SUCCEEDED"
        assert job.result.SerializeToString(deterministic=True) == expected
        assert '"event":"job_checkpoint_damaged"' in server.log()


# F13.
@pytest.mark.slow
def test_a_watcher_that_vanishes(tmp_path):
    with serving(directory=tmp_path) as (server, stub):
        name = stub.create(costated.slow_fit(3000), "watched").name
        before = server.descriptors()
        program = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "from costated import Stub\n"
            "for event in Stub(sys.argv[2]).watch(sys.argv[3]): print(event.sequence, flush=True)"
        )
        here = str(pathlib.Path(__file__).parent)
        watcher = subprocess.Popen(
            [sys.executable, "-c", program, here, server.address, name], stdout=subprocess.PIPE
        )
        assert watcher.stdout.readline().strip() == b"1"
        watcher.kill()
        watcher.wait()
        watcher.stdout.close()
        end = time.monotonic() + 10
        while server.descriptors() > before and time.monotonic() < end:
            time.sleep(0.05)
        assert server.descriptors() <= before
        assert STATES[stub.await_end(name).state] == "STATE_SUCCEEDED"


# F14.
@pytest.mark.slow
def test_cancels_at_every_phase(tmp_path):
    rng = random.Random(3)
    with serving(directory=tmp_path, lease="10s", checkpoint="50ms") as (_, stub):
        first = stub.create(costated.slow_fit(1_000_000), "runs").name
        waiting = stub.create(costated.solve(), "waits").name
        for name in (waiting, first):
            cancelled_at = time.monotonic()
            stub.cancel(name)
            stub.cancel(name)
            assert STATES[stub.await_end(name).state] == "STATE_CANCELLED"
            assert time.monotonic() - cancelled_at < 10
            assert STATES[stub.cancel(name).state] == "STATE_CANCELLED"
        for number in range(20):
            name = stub.create(costated.slow_fit(200), f"at {number}").name
            time.sleep(rng.uniform(0, 0.3))
            stub.cancel(name)
            state = STATES[stub.await_end(name, timeout=10).state]
            assert state in ("STATE_CANCELLED", "STATE_SUCCEEDED")
            assert STATES[stub.cancel(name).state] == state, "of what has ended nothing changes"


def test_a_drain_hands_its_tasks_over(tmp_path):
    spec, expected = fit_that_lasts(2)
    with serving(directory=tmp_path, checkpoint="1h") as (server, stub):
        name = stub.create(spec, "drained").name
        drains = 0
        for _ in range(3):
            time.sleep(0.3)
            if STATES[stub.get(name).state] in ENDED:
                break
            assert server.terminate() == 0
            server.start()
            drains += 1
        job = stub.await_end(name)
        assert job.result.SerializeToString(deterministic=True) == expected
        assert drains >= 1 and job.attempts == drains + 1
        server.terminate()
    assert list(check_store(tmp_path)) == []
