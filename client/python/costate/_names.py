"""Near names for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown_name(name: object, known: Iterable[str]) -> str:
    """One sentence that says `name` is unknown and suggests one of `known`."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    if near:
        return f"unknown name {name!r}; did you mean {near[0]!r}?"
    if not names:
        return f"unknown name {name!r}; there are none"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"unknown name {name!r}; there are {shown}"
