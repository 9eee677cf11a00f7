"""Repository checks that no off-the-shelf linter does; `python -m contrib.checks` runs them all.

Each check is a function that takes the repository's root and returns complaints, one sentence each, naming the
file. The tests under ``tests/repo`` call the same functions, so that a failure reads well in both places.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent

MAX_LINES = 400
# Files that may be longer, with the reason why splitting them would read worse.
LONG_FILES: dict[str, str] = {}

ALLOWED_LICENCES = re.compile(
    r"apache|mit\b|bsd|isc\b|psf|python software foundation|mpl|mozilla|0bsd|unlicense|public domain", re.I
)
REFUSED_LICENCES = re.compile(r"\bA?GPL|GNU (affero )?general public", re.I)

# What a tracked file must not name: this or any developer's machine, or a package index. Spelt in pieces, so
# that this file does not accuse itself.
MACHINE_TRACES = re.compile(
    "|".join(
        ["/" + "work/", "/" + "home/[a-z]", "/" + "Users/[A-Z]", "pypi" + r"\.org", "pythonhosted" + r"\.org"]
    )
    + "|--(extra-)?index"
    + "-url"
)
TEXT_SUFFIXES = {
    "",
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".in",
    ".hcl",
    ".json",
    ".yml",
    ".yaml",
    ".sh",
    ".html",
    ".css",
    ".js",
}


def tracked_files(root: Path) -> list[Path]:
    """Every file under version control, or the whole tree where there is no git (a source archive)."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        return [path for path in root.rglob("*") if path.is_file() and ".venv" not in path.parts]
    return [root / name for name in listing.stdout.split("\0") if name and (root / name).is_file()]


def long_files(root: Path) -> Iterable[str]:
    """Source files of the product that hold more than a head does, unless listed with a reason."""
    for folder in ("broker", "plugins"):
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            lines = len(path.read_text().splitlines())
            if lines > MAX_LINES and name not in LONG_FILES:
                yield f"{name} has {lines} lines (limit {MAX_LINES}): split it, or list it with a reason"
    for name in LONG_FILES:
        if not (root / name).exists():
            yield f"{name} is listed as a long file but does not exist"


def machine_traces(root: Path) -> Iterable[str]:
    """Tracked text that names a machine's folders or a package index."""
    for path in tracked_files(root):
        if path.suffix not in TEXT_SUFFIXES or path.stat().st_size > 2_000_000:
            continue
        text = path.read_text(errors="replace")
        for match in MACHINE_TRACES.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path.relative_to(root).as_posix()}:{line} names {match.group()!r}"


def missing_packages(root: Path) -> Iterable[str]:
    """Folders with code that ``pyproject.toml`` does not ship, and listed packages that are gone."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    listed = set(project["tool"]["setuptools"]["packages"])
    found = set()
    for package, folder in project["tool"]["setuptools"]["package-dir"].items():
        for init in (root / folder).rglob("__init__.py"):
            below = init.parent.relative_to(root / folder).parts
            found.add(".".join((package, *below)))
        for module in (root / folder).rglob("*.py"):
            if not (module.parent / "__init__.py").exists():
                yield f"{module.relative_to(root).as_posix()} lies in a folder without __init__.py"
    for name in sorted(found - listed):
        yield f"{name} is not in pyproject.toml's package list: it would not be installed"
    for name in sorted(listed - found):
        yield f"{name} is in pyproject.toml's package list but has no folder"


def runtime_distributions(root: Path) -> set[str]:
    """Names of every distribution that an installation without extras brings along, transitively."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    pending, seen = [Requirement(text) for text in project["dependencies"]], set()
    while pending:
        wanted = pending.pop()
        if wanted.marker and not any(
            wanted.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)
        ):
            continue
        key = wanted.name.lower().replace("_", "-")
        new_extras = wanted.extras or {""}
        if all((key, extra) in seen for extra in new_extras):
            continue
        seen |= {(key, extra) for extra in new_extras}
        for text in metadata.requires(wanted.name) or ():
            child = Requirement(text)
            if child.marker is None or any(
                child.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)
            ):
                child.marker = None
                pending.append(child)
    return {name for name, _ in seen}


def licence_of(distribution: str) -> str:
    """What the distribution says of its licence: expression, classifiers and short free text, joined."""
    meta = metadata.metadata(distribution)
    classifiers = [c for c in meta.get_all("Classifier") or [] if c.startswith("License ::")]
    free_text = (meta.get("License") or "").strip().splitlines()[:1]
    return " | ".join([meta.get("License-Expression") or "", *classifiers, *free_text]).strip(" |")


def licences(root: Path) -> Iterable[str]:
    """Run-time dependencies under a licence that a proprietary or Apache product cannot carry."""
    for name in sorted(runtime_distributions(root)):
        said = licence_of(name)
        if REFUSED_LICENCES.search(said) or not ALLOWED_LICENCES.search(said):
            yield f"{name} is needed at run time and is licensed {said or 'under nothing it names'!r}"


CHECKS: tuple[Callable[[Path], Iterable[str]], ...] = (long_files, machine_traces, missing_packages, licences)


def main() -> int:
    """Run every check, print the complaints, and tell by the exit status whether there were any."""
    complaints = [f"{check.__name__}: {complaint}" for check in CHECKS for complaint in check(ROOT)]
    print("\n".join(complaints) or f"repository checks: {len(CHECKS)} kept")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
