"""How deploy/ci/test counts: no failure may get lost between a program and the closing line."""

import importlib.machinery
import importlib.util
import pathlib
import sys

import pytest

_path = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "ci" / "test"
_loader = importlib.machinery.SourceFileLoader("costate_test_script", str(_path))
script = importlib.util.module_from_spec(importlib.util.spec_from_loader(_loader.name, _loader))
sys.modules[_loader.name] = script  # dataclasses look their module up
_loader.exec_module(script)

GTEST = """<testsuites><testsuite name="A">
  <testcase classname="A" name="x" status="run" result="completed"/>
  <testcase classname="A" name="y" status="run" result="skipped"><skipped/></testcase>
  <testcase classname="A" name="DISABLED_z" status="notrun" result="suppressed"/>
  {more}
</testsuite></testsuites>"""
FAILED_CASE = '<testcase classname="A" name="w" status="run"><failure message="no"/></testcase>'


def count(tmp_path, status, more=None):
    """Count for one CTest entry `prog`; without `more` the program left no report."""
    report = tmp_path / "ctest.xml"
    report.write_text(f'<testsuite><testcase name="prog" status="{status}"/></testsuite>')
    if more is not None:
        (tmp_path / "prog.xml").write_text(GTEST.format(more=more))
    return script.count_ctest(report, tmp_path)


def test_cases_of_a_program_are_counted(tmp_path):
    assert count(tmp_path, "run", more="") == script.Count(passed=1, skipped=2)


def test_failed_case_is_named_once(tmp_path):
    assert count(tmp_path, "fail", more=FAILED_CASE).failures == ["prog: A.w"]


def test_program_that_fails_after_its_cases_passed_is_a_failure(tmp_path):
    assert count(tmp_path, "fail", more="").failures == ["prog (fail)"]


@pytest.mark.parametrize(("status", "failures"), [("run", []), ("fail", ["prog (fail)"])])
def test_program_without_a_report_counts_as_one_test(tmp_path, status, failures):
    counted = count(tmp_path, status)
    assert (counted.passed + len(counted.failures), counted.failures) == (1, failures)


def test_pytest_report(tmp_path):
    report = tmp_path / "pytest.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="m" name="a"/>'
        '<testcase classname="m" name="b"><error message="setup"/></testcase>'
        '<testcase classname="m" name="c"><skipped/></testcase></testsuite></testsuites>'
    )
    assert script.count_junit(report) == script.Count(passed=1, skipped=1, failures=["m.b"])


def test_stage_that_ran_nothing_fails():
    assert script.checked("cpp", 0, script.Count()).failures == ["cpp (ran no test)"]
    assert script.checked("cpp", 8, script.Count(passed=3)).failures == ["cpp (exit code 8)"]
    assert script.checked("cpp", 0, script.Count(passed=3)).failures == []
