"""Compiles the proto files to costate/_proto/costate.binpb, the descriptors the client loads.

They come from proto/ of the checkout, or from the copy that a source distribution carries; the
google/rpc files they import come with googleapis-common-protos. An editable installation writes
the result into the source folder, so install again after a change to a proto file.
"""

import importlib.util
import pathlib
import shutil
import subprocess
import sys

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
DESCRIPTORS = "costate/_proto/costate.binpb"


def proto_root():
    for candidate in (HERE / "proto", HERE.parents[1] / "proto"):
        if (candidate / "costate" / "v1").is_dir():
            return candidate
    raise SystemExit(
        "costate: no proto/costate/v1 beside this folder or two folders up; "
        "install from a whole checkout: pip install ./client/python"
    )


def imported_root():
    """The folder that holds google/rpc/status.proto."""
    (package,) = importlib.util.find_spec("google.rpc").submodule_search_locations
    return pathlib.Path(package).parents[1]


def compile_protos(target):
    """Writes the descriptors of all proto files to `target`."""
    root = proto_root()
    sources = sorted(str(path) for path in (root / "costate" / "v1").glob("*.proto"))
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={root}"]
    command += [f"--proto_path={imported_root()}", "--include_imports"]
    command += [f"--descriptor_set_out={target}", *sources]
    if subprocess.run(command).returncode != 0:
        # An ordinary exception would only be a warning in an editable installation.
        raise SystemExit("costate: the proto files do not compile, see above")


class BuildPy(build_py):
    def run(self):
        editable = getattr(self, "editable_mode", False)
        compile_protos((HERE if editable else pathlib.Path(self.build_lib).resolve()) / DESCRIPTORS)
        super().run()


class Sdist(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        folder = pathlib.Path(base_dir) / "proto" / "costate" / "v1"
        folder.mkdir(parents=True, exist_ok=True)
        for path in (proto_root() / "costate" / "v1").glob("*.proto"):
            shutil.copy(path, folder)


setup(cmdclass={"build_py": BuildPy, "sdist": Sdist})
