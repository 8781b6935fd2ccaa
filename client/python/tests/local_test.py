import gc
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import costate
import pytest
from costate import _local


def gone(pid, seconds=10.0):
    """Whether the process ends within the time; a zombie of ours counts as ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def script(tmp_path, text):
    path = tmp_path / "costated"
    path.write_text("#!/bin/sh\n" + textwrap.dedent(text))
    path.chmod(0o755)
    return path


def test_stops_with_its_block():
    with costate.local() as client:
        pid = client.server.pid
        assert client.server.running
        assert client.address.startswith("127.0.0.1:")
        assert client.server_info().version
        assert "local" in repr(client)
    assert gone(pid, 0.5)
    assert not client.server.running
    client.close()


def test_stops_when_collected():
    client = costate.local()
    pid = client.server.pid
    del client
    gc.collect()
    assert gone(pid)


@pytest.mark.parametrize("kill", [False, True])
def test_restarts_at_its_address(kill):
    model = costate.Model("state y = 1\ny' = -y")
    with costate.local() as client:
        address, pid = client.address, client.server.pid
        before = client.solve(model, t=(0, 1)).final["y"]
        if kill:
            os.kill(pid, signal.SIGKILL)
        client.server.restart()
        assert client.server.running and client.server.pid != pid
        assert client.server.address == address
        assert client.solve(model, t=(0, 1)).final["y"] == before
        pid = client.server.pid
    assert gone(pid, 0.5)
    with pytest.raises(costate.ServerStartError, match="was stopped"):
        client.server.restart()


def test_data_directories(tmp_path):
    with costate.local() as client:
        temporary = client.server.data_directory
        assert temporary.is_dir()
    assert not temporary.exists()
    with costate.local(data_directory=tmp_path / "jobs") as client:
        assert client.server.data_directory == tmp_path / "jobs"
    assert tmp_path.exists()


def test_two_servers_do_not_meet():
    with costate.local() as one, costate.local() as two:
        assert one.address != two.address
        assert one.server.pid != two.server.pid
        one.close()
        assert two.server_info().version


CHILD = """
import costate, sys, time
client = costate.local()
print(client.server.pid, flush=True)
{rest}
"""


def start_child(rest):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(rest=rest)], stdout=subprocess.PIPE, text=True
    )
    return child, int(child.stdout.readline())


@pytest.mark.parametrize("rest", ["", "raise SystemExit(3)", "import os; os._exit(1)"])
def test_ends_with_its_process(rest):
    child, pid = start_child(rest)
    child.communicate(timeout=30)
    assert gone(pid)


def test_ends_when_its_process_is_killed():
    child, pid = start_child("time.sleep(60)")
    child.kill()
    child.communicate(timeout=30)
    assert gone(pid)


def test_an_interrupt_is_for_the_caller_and_ends_the_call():
    # A parent that runs in the background may have handed down an ignored SIGINT.
    rest = textwrap.dedent("""
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)
        model = costate.Model("state y = 1\\ny' = sin(1000000*t)*y")
        print("ready", flush=True)
        try:
            client.solve(model, t=(0, 1e6), max_steps=10**9, rtol=1e-10)
        except KeyboardInterrupt:
            print("interrupted", client.server.running, client.server_info().version, flush=True)
    """)
    child, pid = start_child(rest)
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=30)
    assert out.startswith("interrupted True")
    assert gone(pid)


def test_a_forked_child_leaves_the_server_alone():
    with costate.local() as client:
        child = os.fork()
        if child == 0:
            client.server.stop()
            os._exit(0)
        os.waitpid(child, 0)
        assert client.server.running
        assert client.server_info().version


def test_a_server_that_fails_shows_its_last_words(tmp_path):
    path = script(tmp_path, "echo 'cannot do it' >&2\nexit 3\n")
    with pytest.raises(costate.ServerStartError, match=r"code 3; it said:\ncannot do it"):
        costate.local(binary=path)


def test_a_server_that_does_not_listen_is_stopped(tmp_path):
    path = script(tmp_path, f"echo $$ > {tmp_path}/pid\necho thinking\nexec sleep 100\n")
    with pytest.raises(costate.ServerStartError, match="does not listen"):
        costate.local(binary=path, startup_timeout=0.3)
    assert gone(int((tmp_path / "pid").read_text()))


def test_not_a_program(tmp_path):
    path = tmp_path / "costated"
    path.write_bytes(b"\x7fELF nonsense")
    path.chmod(0o755)
    with pytest.raises(costate.ServerStartError, match="cannot be started"):
        costate.local(binary=path)


def test_where_it_looks(tmp_path, monkeypatch):
    path = script(tmp_path, "")
    with pytest.raises(costate.ServerNotFound, match="binary is 'nowhere'"):
        _local.find_binary("nowhere")
    monkeypatch.setenv("COSTATE_BINARY", str(path))
    assert _local.find_binary() == str(path)
    monkeypatch.setenv("COSTATE_BINARY", "/nowhere")
    with pytest.raises(costate.ServerNotFound, match="COSTATE_BINARY"):
        _local.find_binary()
    monkeypatch.delenv("COSTATE_BINARY")
    monkeypatch.setattr(_local, "_checkouts", lambda: iter([tmp_path / "tree"]))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _local.find_binary() == str(path)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(costate.ServerNotFound) as caught:
        _local.find_binary()
    assert "make demo" in str(caught.value)
    for preset in ("old", "new", "release"):
        built = tmp_path / "tree" / "build" / preset / "server" / "costated"
        built.parent.mkdir(parents=True)
        built.write_text("#!/bin/sh\n")
        built.chmod(0o755)
        age = {"old": 100, "new": 200, "release": 50}[preset]
        os.utime(built, (age, age))
        assert _local.find_binary() == str(built)


def test_the_checkout_is_found_from_the_installed_package():
    roots = list(_local._checkouts())
    assert (roots[0] / "proto" / "costate" / "v1").is_dir()
