"""Runs the commands and examples of README.md, in order, in one working folder."""

import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from readme_blocks import find_blocks, output_matches

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCKS = find_blocks((ROOT / "README.md").read_text(encoding="utf-8"))
RUNNABLE = ("python", "py", "sh", "shell", "bash", "console", "ode", "costate")
TIMEOUT_SECONDS = 600

SOLVE = """\
import sys
import costate
with costate.local() as client:
    solution = client.solve(costate.Model.from_file(sys.argv[1]), t=(0, 1))
    print(solution.status)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("readme")


def run(command, cwd):
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    environment["PATH"] = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        command, cwd=cwd, env=environment, timeout=TIMEOUT_SECONDS, text=True, capture_output=True
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_python(block, folder):
    script = folder / f"line_{block.line}.py"
    script.write_text(block.text, encoding="utf-8")
    return run([sys.executable, script.name], folder)


def run_shell(block, _):
    return run(["bash", "-euo", "pipefail", "-c", block.text], ROOT)


def run_make(block, _):
    commands = [line.split("#")[0].split() for line in block.text.splitlines()]
    commands = [words for words in commands if words]
    assert commands and all(words[0] == "make" for words in commands)
    return "".join(run(["make", "--dry-run", *words[1:]], ROOT) for words in commands)


def run_model(block, folder):
    assert block.argument, "name the file: <!-- test: model sir.ode -->"
    (folder / block.argument).write_text(block.text, encoding="utf-8")
    return run([sys.executable, "-c", SOLVE, block.argument], folder)


RUNNERS = {"python": run_python, "shell": run_shell, "make": run_make, "model": run_model}


def expected_output(block):
    """The text of the output block right after an example, or None."""
    after = BLOCKS[BLOCKS.index(block) + 1 :][:1]
    return after[0].text if after and after[0].kind == "output" else None


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind in RUNNERS], ids=str)
def test_example(block, folder):
    printed = RUNNERS[block.kind](block, folder)
    expected = expected_output(block)
    assert expected is None or output_matches(expected, printed), f"printed instead:\n{printed}"


def test_every_example_says_how_it_is_tested():
    known = {*RUNNERS, "output", "none"}
    for block in BLOCKS:
        assert block.kind in known or (not block.kind and block.language not in RUNNABLE), (
            f"README.md:{block.line}: put <!-- test: {'|'.join(sorted(known))} --> before the block"
        )
        assert block.kind != "none" or block.argument, f"README.md:{block.line}: say why"
