"""Checks that the tree keeps the rules its build files promise.

    python tests/layout/check_layout.py [--root DIR]

Prints one line per finding (where, what, how to mend) and exits with 1 when there is any error.
The rules:

1. Every source is listed in a CMakeLists.txt, every folder with one is reached from its parent,
   and no list holds a file that is not there.
2. A file may include a header of another folder only if that header is listed in HDRS there, and
   if its own target names the other one among its own DEPS or PRIVATE_DEPS. (A test may include
   headers that are not listed, and reach a target through others.) Includes start at the root of
   the project.
3. Folders look downwards only: LAYERS below, and no circle among the declared dependencies.
4. Headers of heavy libraries stay where FENCES says, and reach no other file by a header there.
5. Every source of engine/ and server/ has a test at the mirrored place in tests/, or a line in
   tests/layout/covered_by.txt that names the test which covers it, and why.
6. Sources longer than 500 lines are named (a warning).

Needs only the standard library.
"""

import argparse
import dataclasses
import fnmatch
import pathlib
import re
import sys

# What each engine folder may use, bottom-up; "engine" is the door, engine/engine.h.
LAYERS = {
    "engine/base": (),
    "engine/model": ("engine/base",),
    "engine/autodiff": ("engine/base", "engine/model"),
    "engine/interpreter": ("engine/base", "engine/model", "engine/autodiff"),
    "engine/codegen": ("engine/base", "engine/model", "engine/autodiff"),
    "engine/solvers": ("engine/base",),
    "engine/gradients": ("engine/base", "engine/solvers"),
    "engine/stability": ("engine/base", "engine/solvers", "engine/gradients"),
    "engine/optimise": ("engine/base",),
    # None: the door.
    "engine/fit": (
        *("engine/base", "engine/model", "engine/solvers", "engine/gradients"),
        *("engine/optimise", None),
    ),
}

# Header pattern, where it may be included, and why.
FENCES = (
    (
        ("llvm/*", "llvm-c/*", "clang/*"),
        ("engine/codegen/*", "tests/engine/codegen/*"),
        "LLVM stays behind engine/codegen; use engine/codegen/compiler.h",
    ),
    (
        ("grpcpp/*", "grpc/*", "grpc++/*", "*.grpc.pb.h"),
        (
            "server/main.*",
            "server/server.*",
            "server/rpc.*",
            "server/grpc_status.*",
            "tests/server/*",
            "tests/benchmarks/*",
            "tests/conformance/*",
            "client/*",
        ),
        "gRPC stays in server/{main,server,rpc,grpc_status}; handlers see absl::Status",
    ),
    (
        ("*.pb.h", "google/protobuf/*"),
        ("server/*", "tests/server/*", "tests/benchmarks/*", "tests/conformance/*", "client/*"),
        "messages stay in server/; convert them in server/convert",
    ),
    (
        (
            *("sundials/*", "cvode/*", "cvodes/*", "arkode/*", "ida/*", "idas/*", "kinsol/*"),
            *("nvector/*", "sunmatrix/*", "sunlinsol/*", "sunnonlinsol/*"),
        ),
        ("engine/solvers/sundials/*", "tests/engine/solvers/sundials/*"),
        "SUNDIALS stays in engine/solvers/sundials, behind the Stepper seam",
    ),
    (
        ("openssl/*",),
        ("engine/base/sha256.cc",),
        "OpenSSL stays in engine/base/sha256.cc; use engine/base/sha256.h",
    ),
    (
        ("sqlite3.h",),
        ("server/jobs/*", "tests/server/jobs/*", "tests/benchmarks/*"),
        "SQLite stays in server/jobs, behind the names of server/jobs/job_store.h",
    ),
    (
        ("nlopt.h", "nlopt.hpp"),
        ("engine/optimise/*", "tests/engine/optimise/*"),
        "NLopt stays in engine/optimise, behind the names of engine/optimise/optimiser.h",
    ),
    (
        ("prometheus/*",),
        ("server/metrics.cc",),
        "prometheus-cpp stays in server/metrics.cc, behind the names of server/metrics.h",
    ),
)

SOURCE_ROOTS = ("engine", "server", "tests")
NEEDS_TEST_ROOTS = ("engine", "server")
PROJECT_ROOTS = ("engine", "server", "tests", "proto", "client")
NO_TEST_OF_ITS_OWN = ("*/main.cc", "*_main.cc")
COVERED_BY = "tests/layout/covered_by.txt"
MAX_SOURCE_LINES = 500


@dataclasses.dataclass(frozen=True)
class Finding:
    where: str  # path or path:line, from the root
    what: str
    mend: str
    is_error: bool = True

    def __str__(self):
        kind = "error" if self.is_error else "warning"
        return f"{self.where}: {kind}: {self.what}\n    to mend: {self.mend}"


@dataclasses.dataclass
class Target:
    """One library or program of a CMakeLists.txt."""

    name: str  # as DEPS name it: costate::model, or the plain name of a program
    folder: str
    files: list = dataclasses.field(default_factory=list)  # from the root
    deps: list = dataclasses.field(default_factory=list)


# ---- reading CMakeLists.txt ----------------------------------------------------------------------

KEYWORDS = {
    "costate_library": ("NAME", "SRCS", "HDRS", "DEPS", "PRIVATE_DEPS"),
    "costate_test": ("NAME", "SRCS", "DEPS", "LABELS"),
    "costate_benchmark": ("NAME", "SRCS", "DEPS"),
}
PLAIN_COMMANDS = ("add_executable", "add_library", "target_sources", "target_link_libraries")


def cmake_commands(text):
    """Yields (command, words) for each command of a CMake text, comments left out."""
    text = re.sub(r'("(?:\\.|[^"\\])*")|#[^\n]*', lambda m: m.group(1) or "", text)
    for match in re.finditer(r"\b([A-Za-z_]\w*)\s*\(", text):
        depth, end = 1, match.end()
        while end < len(text) and depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield match.group(1).lower(), re.findall(r'"[^"]*"|[^\s()"]+', text[match.end() : end - 1])


def group_by_keyword(words, keywords):
    groups = {keyword: [] for keyword in keywords}
    current = None
    for word in words:
        if word in groups:
            current = word
        elif current:
            groups[current].append(word)
    return groups


def expand(commands, variables=None):
    """Yields the commands with foreach loops unrolled and the lists of set() put in."""
    variables = dict(variables or {})
    commands = iter(commands)
    for command, words in commands:
        words = [value for word in words for value in substitute(word, variables)]
        if command == "foreach":
            body = list(loop_body(commands))
            items = words[2:] if words[1:2] == ["IN"] else words[1:]
            items = [item for item in items if item not in ("LISTS", "ITEMS")]
            if words[1:3] == ["IN", "LISTS"]:
                items = [value for item in items for value in variables.get(item, [item])]
            yield command, [words[0], *items]
            for item in items:
                yield from expand(body, variables | {words[0]: [item]})
            continue
        if command == "set" and words:
            variables[words[0]] = words[1:]
        yield command, words


def loop_body(commands):
    depth = 1
    for command, words in commands:
        depth += {"foreach": 1, "endforeach": -1}.get(command, 0)
        if depth == 0:
            return
        yield command, words


def substitute(word, variables):
    whole = re.fullmatch(r"\$\{(\w+)\}", word)
    if whole and whole.group(1) in variables:
        return variables[whole.group(1)]

    def value(match):
        known = variables.get(match.group(1), [])
        return known[0] if len(known) == 1 else match.group(0)

    return [re.sub(r"\$\{(\w+)\}", value, word)]


def alias(name):
    """The name that DEPS use for a target."""
    return re.sub(r"^costate_", "costate::", name)


def read_targets(text, folder):
    """The targets that the CMakeLists.txt of folder defines, by name."""
    targets = {}
    for command, words in expand(cmake_commands(text)):
        if command in KEYWORDS:
            groups = group_by_keyword(words, KEYWORDS[command])
            name = (groups["NAME"] or ["?"])[0]
            name = f"costate::{name}" if command == "costate_library" else alias(name)
            files = groups["SRCS"] + groups.get("HDRS", [])
            deps = groups["DEPS"] + groups.get("PRIVATE_DEPS", [])
        elif command in PLAIN_COMMANDS and words and "ALIAS" not in words:
            name = alias(words[0])
            files = [word for word in words[1:] if word.endswith((".cc", ".h"))]
            deps = [alias(word) for word in words[1:] if "::" in word or "costate_" in word]
        else:
            continue
        target = targets.setdefault(name, Target(name, folder))
        target.files += [f"{folder}/{file}" for file in files]
        target.deps += deps
    return targets


def mentions_folder(text, name):
    """Whether a CMakeLists.txt adds the folder, by itself or through a foreach list."""
    return any(
        command in ("add_subdirectory", "foreach") and name in words
        for command, words in expand(cmake_commands(text))
    )


# ---- the tree ------------------------------------------------------------------------------------


class Tree:
    """The files of a checkout and the targets of its build files. Paths are from the root."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.sources = []
        self.cmake_texts = {}
        self.targets = []
        for top in (*SOURCE_ROOTS, "proto"):
            for path in sorted((self.root / top).rglob("*")):
                self._add(path)
        self.target_by_name = {target.name: target for target in self.targets}
        self.targets_by_file = {}
        for target in self.targets:
            for file in target.files:
                self.targets_by_file.setdefault(file, []).append(target)

    def _add(self, path):
        name = path.relative_to(self.root).as_posix()
        if path.name == "CMakeLists.txt":
            text = path.read_text(encoding="utf-8")
            folder = path.parent.relative_to(self.root).as_posix()
            self.cmake_texts[folder] = text
            self.targets += read_targets(text, folder).values()
        elif path.suffix in (".cc", ".h") and not name.startswith("proto/"):
            self.sources.append(name)

    def exists(self, name):
        return (self.root / name).is_file()

    def lines(self, name):
        return (self.root / name).read_text(encoding="utf-8", errors="replace").splitlines()

    def owners(self, name):
        """The targets that list a file; for a header that none lists, those of its folder."""
        folder = self.build_folder(name)
        return self.targets_by_file.get(name) or [
            target for target in self.targets if target.folder == folder
        ]

    def reachable(self, target):
        """Names of all targets that target depends on, directly or not."""
        found, waiting = set(), list(target.deps)
        while waiting:
            dep = waiting.pop()
            if dep not in found:
                found.add(dep)
                if dep in self.target_by_name:
                    waiting += self.target_by_name[dep].deps
        return found

    def build_folder(self, name):
        """The nearest folder above a file that has a CMakeLists.txt; None when there is none."""
        for parent in pathlib.PurePosixPath(name).parents:
            if parent.as_posix() in self.cmake_texts:
                return parent.as_posix()
        return None


def includes(lines):
    """Yields (line number, header, is quoted)."""
    for number, line in enumerate(lines, start=1):
        match = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', line)
        if match:
            yield number, match.group(1) or match.group(2), match.group(1) is not None


# ---- the rules -----------------------------------------------------------------------------------


def check_listed(tree):
    """Rule 1."""
    for name in tree.sources:
        if name in tree.targets_by_file or name.endswith(".h"):
            continue
        folder = layer_of(name) or tree.build_folder(name)
        where = f"{folder}/CMakeLists.txt" if folder else "a new CMakeLists.txt beside it"
        yield Finding(name, "no target lists this file", f"name it in SRCS of {where}")
    for target in tree.targets:
        for file in target.files:
            if "$" not in file and not tree.exists(file):
                yield Finding(
                    f"{target.folder}/CMakeLists.txt",
                    f"{target.name} lists {file}, which is not there",
                    "take it off the list or add the file",
                )
    for folder in tree.cmake_texts:
        path = pathlib.PurePosixPath(folder)
        parent = tree.build_folder(folder)
        if len(path.parts) > 1 and parent is not None:
            relative = path.relative_to(parent).as_posix()
            if not mentions_folder(tree.cmake_texts[parent], relative):
                yield Finding(
                    f"{parent}/CMakeLists.txt",
                    f"the folder {folder} has a CMakeLists.txt but is never added",
                    f"add_subdirectory({relative}) after the folders it uses",
                )


def check_include_paths(tree):
    """Rule 2, the form of an include."""
    for name in tree.sources:
        for number, header, quoted in includes(tree.lines(name)):
            where = f"{name}:{number}"
            beside = pathlib.PurePosixPath(name).parent / header
            if header.startswith(".") or "/../" in header:
                yield Finding(
                    where, f"relative include {header}", "write the path from the project's root"
                )
            elif quoted and not tree.exists(header) and tree.exists(beside.as_posix()):
                yield Finding(
                    where, f"relative include {header}", f'write #include "{beside.as_posix()}"'
                )
            elif quoted and header.split("/")[0] in PROJECT_ROOTS and not tree.exists(header):
                yield Finding(where, f"{header} does not exist", "mend the path")


def layer_of(folder):
    """The entry of LAYERS a folder belongs to, or None."""
    path = pathlib.PurePosixPath(folder)
    for candidate in (path, *path.parents):
        if candidate.as_posix() in LAYERS:
            return candidate.as_posix()
    return None


def may_use(folder, other):
    """Whether code of one folder may depend on the other, by the order of the folders."""
    if folder == other or folder.startswith("tests/"):
        return True
    top, other_top = folder.split("/")[0], other.split("/")[0]
    if other_top == "tests":
        return False
    if top == "engine":
        if other_top != "engine":
            return False
        layer, other_layer = layer_of(folder), layer_of(other)
        if layer is None:
            return True
        return other_layer == layer or other_layer in LAYERS[layer]
    return True


def check_dependencies(tree):
    """Rules 2 and 3, file by file."""
    for name in tree.sources:
        owners = tree.owners(name)
        for number, header, _ in includes(tree.lines(name)):
            if not tree.exists(header) or header.split("/")[0] not in PROJECT_ROOTS:
                continue
            finding = check_one_include(tree, name, owners, header)
            if finding:
                yield dataclasses.replace(finding, where=f"{name}:{number}")


def check_one_include(tree, name, owners, header):
    folder, other = tree.build_folder(name), tree.build_folder(header)
    if folder == other or not owners:
        return None  # check_listed reports a source without an owner
    if not may_use(folder, other):
        return Finding(
            name,
            f"{folder} includes {header}, which is above it or beside it",
            "move what is shared downwards, or pass it in through a seam (LAYERS in this script)",
        )
    is_test = name.startswith("tests/")
    if header not in tree.targets_by_file and not is_test:
        return Finding(
            name,
            f"{header} belongs to the inside of {other}",
            f"use a public header of {other}, or list it in HDRS of {other}/CMakeLists.txt",
        )
    providers = {provider.name for provider in tree.owners(header)}
    if not providers:
        return None
    for owner in owners:
        deps = tree.reachable(owner) if is_test else set(owner.deps)
        if providers & deps:
            return None
    return Finding(
        name,
        f"{owners[0].name} includes {header} but does not declare {' or '.join(sorted(providers))}",
        f"add it to DEPS (or PRIVATE_DEPS, when only sources use it) of {owners[0].name} in "
        f"{folder}/CMakeLists.txt, or include less",
    )


def check_target_order(tree):
    """Rule 3, target by target."""
    for folder in tree.cmake_texts:
        if folder.startswith("engine/") and layer_of(folder) is None:
            yield Finding(
                f"{folder}/CMakeLists.txt",
                f"{folder} has no place in the order of the folders",
                "say in LAYERS of tests/layout/check_layout.py what it may use",
            )
    for target in tree.targets:
        for dep in target.deps:
            other = tree.target_by_name.get(dep)
            if other and not may_use(target.folder, other.folder):
                yield Finding(
                    f"{target.folder}/CMakeLists.txt",
                    f"{target.name} depends on {dep}, which is above it or beside it",
                    "take the dependency away (LAYERS in this script)",
                )
    for circle in circles(tree):
        yield Finding(
            f"{circle[0].folder}/CMakeLists.txt",
            "circle of dependencies: " + " -> ".join(t.name for t in circle),
            "take one of these dependencies away",
        )


def circles(tree):
    """Each circle among the targets once, as a list that ends where it began."""
    done = set()
    for start in tree.targets:
        seen = set()
        stack = [(start, [start])]
        while stack:
            target, path = stack.pop()
            for dep in target.deps:
                other = tree.target_by_name.get(dep)
                if other is start:
                    yield [*path, start]
                elif other and other.name not in seen | done:
                    seen.add(other.name)
                    stack.append((other, [*path, other]))
        done.add(start.name)


def check_fences(tree):
    """Rule 4."""
    for name in tree.sources:
        for number, header, _ in includes(tree.lines(name)):
            for fence in FENCES:
                patterns, allowed, reason = fence
                if matches(name, allowed):
                    continue
                if matches(header, patterns):
                    yield Finding(f"{name}:{number}", f"{header} is not allowed here", reason)
                    break
                if fenced := matches(header, allowed) and fenced_header(tree, header, fence):
                    what = f"{header} brings {fenced} here, where it is not allowed"
                    yield Finding(f"{name}:{number}", what, reason)


def fenced_header(tree, header, fence):
    """A fenced header that a header of the project includes, directly or not; None without one."""
    seen, waiting = set(), [header]
    while waiting:
        current = waiting.pop()
        if matches(current, fence[0]):
            return current
        if current not in seen and tree.exists(current):
            seen.add(current)
            waiting += [inner for _, inner, _ in includes(tree.lines(current))]
    return None


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def read_covered_by(tree):
    """(line number, source pattern, test, reason) of each line of the mapping."""
    if not tree.exists(COVERED_BY):
        return
    for number, line in enumerate(tree.lines(COVERED_BY), start=1):
        if line.strip() and not line.startswith("#"):
            match = re.fullmatch(r"(\S+)\s+->\s+(\S+)\s*(?::\s*(.*))?", line.strip())
            yield (number, *match.groups()) if match else (number, line.strip(), None, None)


def check_mirror_tests(tree):
    """Rule 5."""
    mapping = list(read_covered_by(tree))
    needy = [
        name
        for name in tree.sources
        if name.endswith(".cc")
        and name.split("/")[0] in NEEDS_TEST_ROOTS
        and not matches(name, NO_TEST_OF_ITS_OWN)
    ]
    for name in needy:
        mirror = f"tests/{name[: -len('.cc')]}_test.cc"
        if not tree.exists(mirror) and not any(matches(name, [row[1]]) for row in mapping):
            yield Finding(
                name,
                "no test mirrors this source",
                f"add {mirror}, or a line in {COVERED_BY}: {name} -> <test> : <reason>",
            )
    for number, pattern, test, reason in mapping:
        where = f"{COVERED_BY}:{number}"
        if test is None or not reason:
            yield Finding(where, "not of the form <source> -> <test> : <reason>", "complete it")
        elif not tree.exists(test):
            yield Finding(where, f"{test} is not there", "name the test that covers the source")
        elif not any(matches(name, [pattern]) for name in needy):
            yield Finding(where, f"{pattern} matches no source", "take the line away")


def check_lengths(tree):
    """Rule 6."""
    for name in tree.sources:
        length = len(tree.lines(name))
        if length > MAX_SOURCE_LINES and not name.startswith("tests/"):
            yield Finding(
                name,
                f"{length} lines, more than {MAX_SOURCE_LINES}",
                "ask which part wants a name and a file of its own",
                is_error=False,
            )


RULES = (
    check_listed,
    check_include_paths,
    check_dependencies,
    check_target_order,
    check_fences,
    check_mirror_tests,
    check_lengths,
)


def check(root):
    """All findings for the checkout at root, in the order of the rules."""
    tree = Tree(root)
    if not tree.sources:
        return [Finding(str(root), "no sources here", "give the root of a checkout with --root")]
    return [finding for rule in RULES for finding in rule(tree)]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--root", type=pathlib.Path, default=default)
    findings = check(parser.parse_args(arguments).root)
    for finding in findings:
        print(finding)
    errors = sum(finding.is_error for finding in findings)
    print(f"layout: {errors} errors, {len(findings) - errors} warnings")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
