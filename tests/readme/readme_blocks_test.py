import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from readme_blocks import find_blocks, output_matches

TEXT = """\
# Title

<!-- test: python -->

```python
x = 1

print(x)
```
<!-- test: model a.ode -->
```
model a
```
<!-- test: none, needs a cluster -->
Words between take the mark away.
```sh
ls
```
"""


def test_blocks_carry_mark_line_and_text():
    python, model, shell = find_blocks(TEXT)
    assert (python.kind, python.language, python.line) == ("python", "python", 5)
    assert python.text == "x = 1\n\nprint(x)\n"
    assert (model.kind, model.argument, model.text) == ("model", "a.ode", "model a\n")
    assert (shell.kind, shell.language) == ("", "sh")


def test_reason_is_the_argument():
    (block,) = find_blocks("<!-- test: none, needs a cluster -->\n```sh\nls\n```\n")
    assert (block.kind, block.argument) == ("none", "needs a cluster")


def test_open_fence_is_an_error():
    with pytest.raises(ValueError, match="line 2"):
        find_blocks("text\n```sh\nls\n")


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("a\nb", "a\nb\n", True),
        ("a\nb", "a\nc\n", False),
        ("a\n...\nd", "a\nb\nc\nd\n", True),
        ("a\n...\nd", "a\nd\n", True),
        ("a\n...\nd", "a\nb\n", False),
        ("a", "a\nb\n", False),
        ("1.5", "1x5\n", False),
        ("a  \n", "\na\n\n", True),
    ],
)
def test_output(expected, actual, same):
    assert output_matches(expected, actual) == same
