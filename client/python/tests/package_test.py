import inspect
import os
import pathlib
import subprocess
import sys
import types

import costate
import pytest
from conftest import ROOT

PACKAGE = ROOT / "client" / "python"


def run(*command, **options):
    done = subprocess.run(
        [str(word) for word in command], text=True, capture_output=True, **options
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_everything_public_is_documented():
    for name in costate.__all__:
        thing = getattr(costate, name)
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            for attribute, value in vars(thing).items():
                if isinstance(value, (property, types.FunctionType)) and not attribute.startswith(
                    "_"
                ):
                    assert inspect.getdoc(value), f"{name}.{attribute}"


def test_help_names_every_argument():
    signature = inspect.signature(costate.Client.gradient)
    for name in signature.parameters:
        assert name == "self" or name in costate.Client.gradient.__doc__, name
    assert "<simulation>" not in costate.Client.gradient.__doc__
    assert signature.return_annotation == "Gradient"
    assert {"rtol", "loss", "timeout"} <= set(signature.parameters)


def test_import_is_light():
    """Neither asyncio's client nor the extras are loaded before they are used."""
    out = run(
        sys.executable,
        "-c",
        "import costate, sys; print(*sorted({m.split('.')[0] for m in sys.modules}));"
        "print('grpc.aio' in sys.modules, 'costate.aio' in sys.modules)",
    )
    modules, lazy = out.splitlines()
    assert not {"matplotlib", "scipy", "costate.v1"} & set(modules.split())
    assert lazy.endswith("False")


def test_generated_code_of_the_same_package_may_be_loaded_beside(tmp_path):
    protos = sorted((ROOT / "proto" / "costate" / "v1").glob("*.proto"))
    imported = pathlib.Path(costate.errors.status_pb2.__file__).parents[2]
    run(
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"--proto_path={ROOT / 'proto'}",
        f"--proto_path={imported}",
        f"--python_out={tmp_path}",
        *protos,
    )
    out = run(
        sys.executable,
        "-c",
        "import sys; sys.path.insert(0, '.'); import importlib.util as u\n"
        "import costate, types\n"
        "costate.__path__.append('costate')\n"
        "from costate.v1 import solve_pb2\n"
        "print(solve_pb2.SolveRequest() is not None)",
        cwd=tmp_path,
    )
    assert out == "True\n"


def test_descriptors_are_those_of_the_proto_files(tmp_path):
    """Fails when a proto file changed after the installation: install again."""
    installed = pathlib.Path(costate._proto.__file__).with_name("costate.binpb").read_bytes()
    out = tmp_path / "costate.binpb"
    imported = pathlib.Path(costate.errors.status_pb2.__file__).parents[2]
    run(
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"--proto_path={ROOT / 'proto'}",
        f"--proto_path={imported}",
        "--include_imports",
        f"--descriptor_set_out={out}",
        *sorted((ROOT / "proto" / "costate" / "v1").glob("*.proto")),
    )
    assert out.read_bytes() == installed


@pytest.mark.slow
def test_types():
    run(sys.executable, "-m", "mypy", cwd=PACKAGE)


USE_OF_TYPES = """
import costate
import numpy as np

client = costate.connect()
model = costate.Model("x")
a: costate.Solution = client.solve(model, t=(0, 1), save_at=np.zeros(3), params={"b": 1.7})
g: costate.Gradient = client.gradient(
    model, t=(0, 14), loss=costate.LeastSquares(output="i", t=[1], values=[2.0]), wrt=["b"]
)
job: costate.Job[costate.FitResult] = client.fit(
    model,
    data=[costate.Data({"b": 2.0}, output="i", t=[1], values=[2.0], sigma=0.1)],
    parameters={"b": costate.Free(1.0, (0.01, 10), scale="log10"), "k": 0.4},
    starts=64,
    rtol=1e-8,
)
f: costate.FitResult = job.result(timeout=600)
x: float = f.best["b"]
for p in job.progress():
    y: float = p.best_objective
q: costate.ProfileResult = client.profile(job, ["b"]).wait().result()
s: costate.Solution = client.submit(name="x").solve(model, t=(0, 1)).result()
js: list[costate.Job[object]] = client.jobs(kind="fit")

async def use() -> costate.Solution:
    async with costate.aio.local() as twin:
        many = await twin.submit.gradient(model, loss=costate.Integral("i"))
        gradient: costate.Gradient = await many.result()
        r: costate.FitResult = await (await twin.fit(model, data=[], parameters=["b"])).result()
        return await twin.solve(model, params={"b": gradient["b"]})
"""


@pytest.mark.slow
def test_types_of_callers(tmp_path):
    good = tmp_path / "good.py"
    good.write_text(USE_OF_TYPES)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
    environment = {**os.environ, "MYPYPATH": str(PACKAGE)}
    run(*mypy, good, cwd=tmp_path, env=environment)
    bad = tmp_path / "bad.py"
    bad.write_text(
        USE_OF_TYPES
        + "client.solve(model, rtoll=1.0)\nz: costate.Vjp = client.submit.solve(model).result()\n"
    )
    done = subprocess.run(
        [*mypy, str(bad)], cwd=tmp_path, env=environment, text=True, capture_output=True
    )
    assert 'did you mean "rtol"' in done.stdout
    assert 'expression has type "Solution", variable has type "Vjp"' in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_plain_installation_works_and_finds_the_server(tmp_path):
    """pip install ./client/python into a clean environment, with build isolation."""
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run(*pip, "install", PACKAGE)
    program = tmp_path / "try.py"
    program.write_text(
        "import costate, pathlib, sys\n"
        "assert pathlib.Path(costate.__file__).is_relative_to(sys.prefix)\n"
        "with costate.local() as client:\n"
        '    sol = client.solve(costate.Model("state y = 1\\ny\' = -y"), t=(0, 1))\n'
        "    print(costate.__version__, sol.final['y'])\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    out = run(python, program, cwd=tmp_path, env=environment)
    assert out.split()[1].startswith("0.3678")
