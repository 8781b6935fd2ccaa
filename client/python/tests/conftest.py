import pathlib

import costate
import pytest
from fake_server import FakeServer

ROOT = pathlib.Path(__file__).resolve().parents[3]


def problem(name):
    """One of the models that all tests of the project share."""
    return costate.Model.from_file(ROOT / "tests" / "problems" / f"{name}.ode")


@pytest.fixture(scope="session")
def client():
    """A client of a real server, shared by all tests that leave it alone."""
    with costate.local() as client:
        yield client


@pytest.fixture(scope="session")
def sir():
    return problem("sir")


@pytest.fixture(scope="session")
def lotka_volterra():
    return problem("lotka_volterra")


@pytest.fixture(scope="session")
def spiral():
    return problem("spiral_node")


@pytest.fixture
def fake():
    server = FakeServer()
    yield server
    server.stop()


@pytest.fixture
def fake_client(fake):
    with costate.connect(fake.address, timeout=10) as client:
        yield client
