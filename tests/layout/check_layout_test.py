"""Good and bad trees for check_layout, and the check of this checkout itself."""

import importlib.util
import pathlib

import pytest

HERE = pathlib.Path(__file__).resolve().parent
_spec = importlib.util.spec_from_file_location("check_layout", HERE / "check_layout.py")
check_layout = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check_layout)

GOOD = {
    "engine/CMakeLists.txt": """
        # Bottom-up (a comment with a bracket).
        foreach(folder base model codegen solvers)
          if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt)
            add_subdirectory(${folder})
          endif()
        endforeach()
        costate_library(NAME engine SRCS engine.cc HDRS engine.h DEPS costate::model)
    """,
    "engine/engine.h": '#include "engine/model/ir.h"\n',
    "engine/engine.cc": '#include "engine/engine.h"\n',
    "engine/base/CMakeLists.txt": "costate_library(NAME base SRCS clock.cc HDRS clock.h)",
    "engine/base/clock.h": "#include <chrono>\n",
    "engine/base/clock.cc": '#include "engine/base/clock.h"\n',
    "engine/model/CMakeLists.txt": "costate_library(NAME model SRCS ir.cc HDRS ir.h\n"
    "  DEPS costate::base absl::status)",
    "engine/model/ir.h": '#include "absl/status/status.h"\n#include "engine/base/clock.h"\n',
    "engine/model/ir.cc": '#include "engine/model/ir.h"\n',
    "engine/codegen/CMakeLists.txt": "costate_library(NAME codegen SRCS jit.cc HDRS jit.h\n"
    "  DEPS costate::base PRIVATE_DEPS costate::model ${LLVM_TARGETS})",
    "engine/codegen/jit.h": '#include "engine/base/clock.h"\n',
    "engine/model/internal.h": "",
    "engine/codegen/jit.cc": '#include "llvm/IR/IRBuilder.h"\n#include "engine/model/ir.h"\n',
    "engine/solvers/CMakeLists.txt": "set(FAMILY rk/euler.cc rk/heun.cc)\n"
    "costate_library(NAME solvers SRCS ${FAMILY} DEPS costate::base)",
    "engine/solvers/rk/euler.cc": '#include "engine/base/clock.h"\n',
    "engine/solvers/rk/heun.cc": "",
    "server/CMakeLists.txt": "costate_library(NAME server SRCS rpc.cc DEPS costate::engine)\n"
    "add_executable(costated main.cc)\n"
    "target_link_libraries(costated PRIVATE costate::server)",
    "server/rpc.cc": '#include "grpcpp/grpcpp.h"\n#include "costate/v1/solve.pb.h"\n'
    '#include "engine/engine.h"\n',
    "server/main.cc": "#include <grpcpp/grpcpp.h>\n",
    "tests/CMakeLists.txt": "add_subdirectory(engine)\nadd_subdirectory(server)",
    "tests/engine/CMakeLists.txt": "foreach(name engine base/clock model/ir codegen/jit)\n"
    "  costate_test(NAME t_${name} SRCS ${name}_test.cc DEPS costate::engine costate::codegen)\n"
    "endforeach()",
    "tests/engine/engine_test.cc": '#include "engine/base/clock.h"\n#include "gtest/gtest.h"\n',
    "tests/engine/base/clock_test.cc": "",
    "tests/engine/model/ir_test.cc": '#include "engine/model/internal.h"\n',
    "tests/engine/codegen/jit_test.cc": "",
    "tests/engine/solvers/CMakeLists.txt": "costate_test(NAME orders SRCS orders_test.cc)",
    "tests/engine/solvers/orders_test.cc": "",
    "tests/server/CMakeLists.txt": "costate_test(NAME rpc SRCS rpc_test.cc)",
    "tests/server/rpc_test.cc": '#include "grpcpp/grpcpp.h"\n',
    "tests/layout/covered_by.txt": "# comment\nengine/solvers/rk/*.cc -> "
    "tests/engine/solvers/orders_test.cc : one suite for every method\n",
}
GOOD["tests/engine/CMakeLists.txt"] += "\nadd_subdirectory(solvers)"


def findings(tmp_path, **changes):
    """Findings for the good tree with files added, changed or (None) left out."""
    for name, text in (GOOD | changes.pop("files", {})).items():
        if text is not None:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    assert not changes
    return check_layout.check(tmp_path)


def test_good_tree_has_no_finding(tmp_path):
    assert findings(tmp_path) == []


# Name: files that differ from the good tree, where the finding is, words it must contain.
BAD = {
    "undeclared dependency": (
        {"engine/codegen/CMakeLists.txt": "costate_library(NAME codegen SRCS jit.cc HDRS jit.h\n"
         "DEPS costate::base)"},
        "engine/codegen/jit.cc:2",
        ["costate::codegen", "engine/model/ir.h", "does not declare costate::model"],
    ),
    "a dependency of a dependency is not enough": (
        {"engine/engine.cc": '#include "engine/base/clock.h"\n'},
        "engine/engine.cc:1",
        ["does not declare costate::base"],
    ),
    "upward include": (
        {"engine/base/clock.cc": '#include "engine/model/ir.h"\n'},
        "engine/base/clock.cc:1",
        ["above it or beside it"],
    ),
    "solvers never see the model, declared or not": (
        {"engine/solvers/CMakeLists.txt": "costate_library(NAME solvers\n"
         "SRCS rk/euler.cc rk/heun.cc DEPS costate::base costate::model)"},
        "engine/solvers/CMakeLists.txt",
        ["costate::solvers depends on costate::model"],
    ),
    "engine includes server": (
        {"server/CMakeLists.txt": GOOD["server/CMakeLists.txt"]
         + "\ncostate_library(NAME limits HDRS limits.h)",
         "server/limits.h": "",
         "engine/engine.cc": '#include "server/limits.h"\n'},
        "engine/engine.cc:1",
        ["above it"],
    ),
    "circle": (
        {"server/CMakeLists.txt": GOOD["server/CMakeLists.txt"]
         + "\ncostate_library(NAME a DEPS costate::b)\ncostate_library(NAME b DEPS costate::a)"},
        "server/CMakeLists.txt",
        ["circle", "costate::a -> costate::b -> costate::a"],
    ),
    "folder without a place in the order": (
        {"engine/CMakeLists.txt": GOOD["engine/CMakeLists.txt"] + "add_subdirectory(extra)",
         "engine/extra/CMakeLists.txt": "costate_library(NAME extra)"},
        "engine/extra/CMakeLists.txt",
        ["no place in the order"],
    ),
    "relative include by dots": (
        {"engine/model/ir.cc": '#include "../base/clock.h"\n'},
        "engine/model/ir.cc:1",
        ["relative include"],
    ),
    "relative include by file name": (
        {"engine/model/ir.cc": '#include "ir.h"\n'},
        "engine/model/ir.cc:1",
        ["relative include", "engine/model/ir.h"],
    ),
    "include of a file that is not there": (
        {"engine/model/ir.cc": '#include "engine/model/gone.h"\n'},
        "engine/model/ir.cc:1",
        ["does not exist"],
    ),
    "LLVM outside codegen": (
        {"engine/engine.cc": '#include "llvm/IR/Module.h"\n'},
        "engine/engine.cc:1",
        ["llvm/IR/Module.h", "compiler.h"],
    ),
    "gRPC outside its files": (
        {"server/CMakeLists.txt": GOOD["server/CMakeLists.txt"]
         + "\ncostate_library(NAME handlers SRCS handlers/solve.cc)",
         "server/handlers/solve.cc": "#include <grpcpp/server.h>\n",
         "tests/server/CMakeLists.txt": "costate_test(NAME a SRCS rpc_test.cc\n"
         "handlers/solve_test.cc)",
         "tests/server/handlers/solve_test.cc": ""},
        "server/handlers/solve.cc:1",
        ["gRPC stays in"],
    ),
    "messages in the engine": (
        {"engine/engine.cc": '#include "costate/v1/model.pb.h"\n'},
        "engine/engine.cc:1",
        ["messages stay in server/"],
    ),
    "SUNDIALS outside its folder": (
        {"engine/solvers/rk/heun.cc": "#include <cvodes/cvodes.h>\n"},
        "engine/solvers/rk/heun.cc:1",
        ["SUNDIALS stays"],
    ),
    "source without a test": (
        {"tests/engine/base/clock_test.cc": None,
         "tests/engine/CMakeLists.txt": GOOD["tests/engine/CMakeLists.txt"].replace(
             "base/clock ", "")},
        "engine/base/clock.cc",
        ["no test mirrors", "tests/engine/base/clock_test.cc"],
    ),
    "mapping to a test that is gone": (
        {"tests/engine/solvers/orders_test.cc": None,
         "tests/engine/solvers/CMakeLists.txt": ""},
        "tests/layout/covered_by.txt:2",
        ["is not there"],
    ),
    "mapping without a reason": (
        {"tests/layout/covered_by.txt": "engine/solvers/rk/*.cc -> "
         "tests/engine/solvers/orders_test.cc\n"},
        "tests/layout/covered_by.txt:1",
        ["<reason>"],
    ),
    "mapping of nothing": (
        {"tests/layout/covered_by.txt": GOOD["tests/layout/covered_by.txt"]
         + "engine/gone.cc -> tests/engine/engine_test.cc : was here once\n"},
        "tests/layout/covered_by.txt:3",
        ["matches no source"],
    ),
    "test that no target lists": (
        {"tests/engine/model/verify_test.cc": ""},
        "tests/engine/model/verify_test.cc",
        ["no target lists"],
    ),
    "source that no target lists": (
        {"engine/model/scan.cc": "", "tests/engine/model/ir_test.cc": "",
         "tests/layout/covered_by.txt": GOOD["tests/layout/covered_by.txt"]
         + "engine/model/scan.cc -> tests/engine/model/ir_test.cc : read with the IR\n"},
        "engine/model/scan.cc",
        ["engine/model/CMakeLists.txt"],
    ),
    "header from the inside of another folder": (
        {"engine/model/scanner.h": "", "engine/engine.cc": '#include "engine/model/scanner.h"\n'},
        "engine/engine.cc:1",
        ["inside of engine/model"],
    ),
    "undeclared dependency of a header that is not listed": (
        {"engine/base/scan.h": '#include "engine/model/ir.h"\n'},
        "engine/base/scan.h:1",
        ["above it"],
    ),
    "LLVM through a header of codegen": (
        {"engine/codegen/jit.h": '#include "engine/codegen/inside.h"\n',
         "engine/codegen/inside.h": '#include "llvm/IR/Module.h"\n',
         "engine/CMakeLists.txt": GOOD["engine/CMakeLists.txt"].replace(
             "DEPS costate::model", "DEPS costate::model costate::codegen"),
         "engine/engine.cc": '#include "engine/codegen/jit.h"\n'},
        "engine/engine.cc:1",
        ["engine/codegen/jit.h brings llvm/IR/Module.h here"],
    ),
    "listed file that is gone": (
        {"engine/base/clock.h": None, "engine/base/clock.cc": "",
         "engine/model/ir.h": "", "engine/codegen/jit.h": "",
         "engine/solvers/rk/euler.cc": "", "tests/engine/engine_test.cc": ""},
        "engine/base/CMakeLists.txt",
        ["engine/base/clock.h", "not there"],
    ),
    "folder that is never added": (
        {"engine/CMakeLists.txt": GOOD["engine/CMakeLists.txt"].replace(" solvers)", ")")},
        "engine/CMakeLists.txt",
        ["engine/solvers", "never added"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_tree_gets_this_one_finding(tmp_path, name):
    files, where, words = BAD[name]
    found = findings(tmp_path, files=files)
    assert [finding.where for finding in found] == [where], "\n".join(map(str, found))
    assert found[0].is_error and found[0].mend
    for word in words:
        assert word in f"{found[0].what} {found[0].mend}"


def test_long_source_is_a_warning_and_no_error(tmp_path, capsys):
    found = findings(tmp_path, files={"engine/base/clock.cc": "\n" * 501})
    assert [finding.is_error for finding in found] == [False]
    assert check_layout.main(["--root", str(tmp_path)]) == 0
    assert "0 errors, 1 warnings" in capsys.readouterr().out


def test_error_sets_the_exit_code_and_is_printed(tmp_path, capsys):
    findings(tmp_path, files={"engine/model/ir.cc": '#include "ir.h"\n'})
    assert check_layout.main(["--root", str(tmp_path)]) == 1
    assert "engine/model/ir.cc:1: error: relative include ir.h" in capsys.readouterr().out


def test_empty_folder_does_not_pass_as_a_good_tree(tmp_path):
    assert check_layout.main(["--root", str(tmp_path)]) == 1


def test_this_checkout():
    errors = [finding for finding in check_layout.check(HERE.parents[1]) if finding.is_error]
    assert not errors, "\n" + "\n".join(map(str, errors))
