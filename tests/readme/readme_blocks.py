"""Finds the fenced blocks of a Markdown text together with the mark that says how to test them.

A mark is an HTML comment on the line before the fence:

    <!-- test: python -->      run by this interpreter
    <!-- test: shell -->       run by bash from the root of the project
    <!-- test: make -->        a dry run only (for what would run the tests again)
    <!-- test: model F.ode --> kept as the file F.ode for later blocks, and solved
    <!-- test: output -->      what the block before it prints; a line "..." stands for any lines
    <!-- test: none, why -->   not run, for a reason
"""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Block:
    line: int  # of the opening fence, from 1
    language: str  # what stands after the fence; "" for none
    kind: str  # of the mark; "" for none
    argument: str
    text: str

    def __str__(self):
        return f"line {self.line}, {self.kind or self.language or 'text'}"


def find_blocks(text):
    blocks = []
    mark, opened, body = ("", ""), None, []
    for number, line in enumerate(text.splitlines(), start=1):
        fence = re.match(r"^```\s*(\w*)", line)
        if opened and line.strip() == "```":
            start, language = opened
            blocks.append(Block(start, language, *mark, "\n".join(body) + "\n"))
            mark, opened, body = ("", ""), None, []
        elif opened:
            body.append(line)
        elif fence:
            opened = (number, fence.group(1))
        elif comment := re.match(r"^<!--\s*test:\s*(\w+),?\s*(.*?)\s*-->", line):
            mark = (comment.group(1), comment.group(2))
        elif line.strip():
            mark = ("", "")
    if opened:
        raise ValueError(f"line {opened[0]}: the fence is never closed")
    return blocks


def output_matches(expected, actual):
    """Whether actual is expected line by line, blanks at line ends aside."""
    parts = []
    for line in expected.strip().splitlines():
        parts.append(r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line.rstrip()) + r"\n")
    lines = "".join(line.rstrip() + "\n" for line in actual.strip().splitlines())
    return re.fullmatch("".join(parts), lines) is not None
