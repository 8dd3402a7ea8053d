"""The repository as the architecture tests see it: its files, and what their text says."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "yamori"
SKIPPED = frozenset({".git", ".venv", "build", "dist", "node_modules", "__pycache__"})


@cache
def files() -> tuple[Path, ...]:
    """All files that belong to the repository: what git knows or would take up, or all where there is no git."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    if listed.returncode == 0:
        found = (ROOT / name for name in listed.stdout.split("\0") if name)
    else:
        found = (path for path in ROOT.rglob("*") if not SKIPPED & set(path.relative_to(ROOT).parts))
    return tuple(sorted(path for path in found if path.is_file()))


def python_files(folder: Path = PACKAGE) -> list[Path]:
    return [path for path in files() if path.suffix == ".py" and path.is_relative_to(folder)]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def classes(path: Path) -> Iterator[ast.ClassDef]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ClassDef):
            yield node


def imported(path: Path) -> set[str]:
    """Full names of all modules (and members) that a file imports, at any depth."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def bound_in(path: Path) -> set[str]:
    """Names that a file binds at its top by assignment."""
    targets = [target for node in parsed(path).body if isinstance(node, ast.Assign) for target in node.targets]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def is_protocol(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)


def has_test(reference: str) -> bool:
    """Whether ``tests/area/test_file.py::test_name`` (or ``::TestClass::test_name``) exists."""
    file, _, rest = reference.partition("::")
    path = ROOT / file
    if not path.is_file():
        return False
    names = rest.split("::") if rest else []
    scope: list[ast.stmt] = parsed(path).body
    for name in names:
        for node in scope:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
                scope = node.body
                break
        else:
            return False
    return True
