"""A private server: finding the program, starting it, and never leaving it behind."""

from __future__ import annotations

import importlib.metadata
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import weakref
from collections.abc import Iterator
from typing import IO

from costate.errors import ServerNotFound, ServerStartError

BINARY_VARIABLE = "COSTATE_BINARY"
PROGRAM = "costated"

# A private server has nobody else to wait for, and nobody reads a line for each call.
_DEFAULT_ARGUMENTS = ("--drain-grace=1s", "--log-level=warning")
_STOP_SECONDS = 5.0
_TAIL_BYTES = 4000


class LocalServer:
    """A `costated` process on a free loopback port.

    Its standard input is a pipe that ends with this process, however that ends, and the server
    ends with its standard input.

    Attributes
    ----------
    address
        "127.0.0.1:port".
    binary
        The program.
    data_directory
        Where its jobs are.
    """

    def __init__(
        self,
        binary: str,
        arguments: list[str],
        timeout: float,
        data_directory: str | os.PathLike[str] | None,
    ) -> None:
        self.binary = binary
        self.address = "127.0.0.1:0"
        self._arguments = arguments
        self._timeout = timeout
        temporary = "" if data_directory else tempfile.mkdtemp(prefix="costate-jobs-")
        self.data_directory = pathlib.Path(data_directory or temporary)
        self._log = tempfile.TemporaryFile(prefix="costated-")  # noqa: SIM115 (lives with it)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._finalizer = weakref.finalize(
            self, _stop, self._processes, self._log, temporary, os.getpid()
        )
        try:
            self._launch()
        except BaseException:
            self._finalizer()
            raise

    @classmethod
    def start(
        cls,
        binary: str | os.PathLike[str] | None,
        arguments: list[str],
        timeout: float,
        data_directory: str | os.PathLike[str] | None = None,
    ) -> LocalServer:
        """Starts a server and waits until it listens; see `costate.local`."""
        return cls(find_binary(binary), arguments, timeout, data_directory)

    def _launch(self) -> None:
        with tempfile.TemporaryDirectory(prefix="costate-") as folder:
            port_file = pathlib.Path(folder) / "port"
            command = [self.binary, f"--address={self.address}", f"--port-file={port_file}"]
            command += ["--exit-with-stdin", *_DEFAULT_ARGUMENTS]
            command += [f"--data-directory={self.data_directory}", *self._arguments]
            try:
                # A session of its own: an interrupt at the keyboard is for the caller.
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=self._log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise ServerStartError(f"{self.binary} cannot be started: {error}") from None
            self._processes[:] = [process]
            try:
                port = _wait_for_port(process, port_file, self._timeout, self._log, self.binary)
            except BaseException:
                process.kill()
                raise
        self.address = f"127.0.0.1:{port}"

    @property
    def pid(self) -> int:
        """Process id."""
        return self._processes[0].pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._finalizer.alive and self._processes[0].poll() is None

    def log(self) -> str:
        """The end of what the server has printed."""
        return "" if self._log.closed else _tail(self._log)

    def stop(self) -> None:
        """Stops the server and waits until it is gone. Does nothing the second time."""
        self._finalizer()

    def restart(self) -> None:
        """Stops the process if it is there, and starts another one with the same address and jobs.

        Clients that are connected go on with that.
        """
        if not self._finalizer.alive:
            raise ServerStartError("this server was stopped; make another one with costate.local")
        _end(self._processes[0])
        self._launch()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"<costate.LocalServer {self.address}, process {self.pid}, {state}>"


def _wait_for_port(
    process: subprocess.Popen[bytes],
    port_file: pathlib.Path,
    timeout: float,
    log: IO[bytes],
    program: str,
) -> int:
    end = time.monotonic() + timeout
    while True:
        ended = process.poll() is not None
        try:
            text = port_file.read_text()
        except FileNotFoundError:
            text = ""
        # The line is whole when its end is there.
        if text.endswith("\n"):
            return int(text.rpartition(":")[2])
        if ended or time.monotonic() > end:
            what = f"ended with code {process.returncode}" if ended else "does not listen"
            said = _tail(log).strip()
            raise ServerStartError(
                f"{program} {what}" + (f"; it said:\n{said}" if said else " and said nothing")
            )
        time.sleep(0.005)


def _tail(log: IO[bytes]) -> str:
    size = os.fstat(log.fileno()).st_size
    start = max(0, size - _TAIL_BYTES)
    # The server writes through the same open file: its position must stay where it is.
    return os.pread(log.fileno(), size - start, start).decode(errors="replace")


def _stop(
    processes: list[subprocess.Popen[bytes]], log: IO[bytes], temporary: str, owner: int
) -> None:
    if os.getpid() != owner:
        return  # A forked child: the server is its parent's.
    for process in processes:
        _end(process)
    log.close()
    if temporary:
        shutil.rmtree(temporary, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    for end_it in (_close_stdin, subprocess.Popen.terminate, subprocess.Popen.kill):
        end_it(process)
        try:
            process.wait(_STOP_SECONDS)
            break
        except subprocess.TimeoutExpired:
            continue


def _close_stdin(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def find_binary(binary: str | os.PathLike[str] | None = None) -> str:
    """Returns the path of `costated`; raises `ServerNotFound`."""
    for given, origin in ((binary, "binary"), (os.environ.get(BINARY_VARIABLE), BINARY_VARIABLE)):
        if given:
            found = shutil.which(os.fspath(given))
            if found is None:
                raise ServerNotFound(f"{origin} is {os.fspath(given)!r}: no such program")
            return found
    roots = list(dict.fromkeys(_checkouts()))
    for root in roots:
        built = _newest_build(root)
        if built is not None:
            return built
    found = shutil.which(PROGRAM)
    if found is not None:
        return found
    looked = "".join(f"\n  {root}/build/*/server/{PROGRAM}" for root in roots)
    raise ServerNotFound(
        f"found no {PROGRAM}. Looked for ${BINARY_VARIABLE}, on PATH"
        + (f", and for{looked}\nBuild it there with: make demo" if looked else " and no checkout")
        + f"\nOr set {BINARY_VARIABLE}, or costate.local(binary=...), to the program."
    )


def _checkouts() -> Iterator[pathlib.Path]:
    """Checkouts of the project: around this file, the one pip installed from, around the venv."""
    starts = [pathlib.Path(__file__).resolve().parent]
    source = _installed_from()
    if source is not None:
        starts.append(source)
    starts.append(pathlib.Path(sys.prefix))
    for start in starts:
        for folder in (start, *start.parents):
            if (folder / "proto" / "costate" / "v1").is_dir():
                yield folder


def _installed_from() -> pathlib.Path | None:
    """The folder given to pip, where it was a folder (PEP 610)."""
    try:
        text = importlib.metadata.distribution("costate").read_text("direct_url.json")
        url = urllib.parse.urlsplit(json.loads(text)["url"]) if text else None
    except (importlib.metadata.PackageNotFoundError, ValueError, KeyError):
        return None
    if url is None or url.scheme != "file":
        return None
    return pathlib.Path(urllib.request.url2pathname(url.path))


def _newest_build(root: pathlib.Path) -> str | None:
    """The release build, else the newest of the others."""
    release = root / "build" / "release" / "server" / PROGRAM
    others = (root / "build").glob(f"*/server/{PROGRAM}")
    by_age = sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)
    for path in (release, *by_age):
        if os.access(path, os.X_OK) and path.is_file():
            return str(path)
    return None
