"""What must be absent: hypervisors in modules, machines and registries in the repository, prints in libraries."""

import ast
import re
from pathlib import Path

from tests.architecture.tree import PACKAGE, ROOT, files, parsed, python_files, shown

HYPERVISORS = re.compile(r"\b(libvirt|qemu|kvm|xen|vsphere|vmware|esxi?|ec2|aws|hyper-?v|proxmox|virsh)\b", re.I)
# Written in parts, so that this file does not find itself.
MACHINE_PATHS = re.compile("|".join(["/" + "work/", "/" + "tmp/y/", "/" + "opt/" + "pypi", "/root/" + r"\.pyenv"]))
REGISTRIES = re.compile(
    "|".join(["pypi" + r"\.org", "pythonhosted" + r"\.org", "npmjs" + r"\.", "crates" + r"\.io", "ghcr" + r"\.io"])
    + "|"
    + "(deb|security|ftp)"
    + r"\.debian\.org"
    + "|"
    + "docker"
    + r"\.io"
    + "|"
    + "pkg"
    + r"\.dev"
)
WHY = re.compile(r"#\s*(?:noqa: [A-Z0-9, ]+)?\W*\w.{5,}")
OF_PEOPLE = re.compile("co-authored" + "-by", re.I)


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def test_no_module_names_a_hypervisor() -> None:
    named = [
        f"{shown(path)}:{number}: {line.strip()}"
        for path in python_files(PACKAGE / "modules")
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if HYPERVISORS.search(line)
    ]
    assert not named


def test_policy_workflow_trust_and_control_name_no_hypervisor_in_code() -> None:
    """Prose may explain with an example; names and texts of the program may not."""
    named = []
    for package in ("model", "policy", "workflow", "trust", "control"):
        for path in python_files(PACKAGE / package):
            for node in ast.walk(parsed(path)):
                if isinstance(node, ast.Name) and HYPERVISORS.search(node.id.replace("_", " ")):
                    named.append(f"{shown(path)}:{node.lineno}: {node.id}")
    assert not named


def test_the_repository_names_no_path_of_a_machine_and_no_registry() -> None:
    found = [
        f"{shown(path)}:{number}: {match.group()}"
        for path in files()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        for match in (MACHINE_PATHS.search(line), REGISTRIES.search(line), OF_PEOPLE.search(line))
        if match
    ]
    assert not found


def test_the_pinned_dependencies_carry_hashes_and_no_addresses() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        pins = re.findall(r"^[a-z0-9][^\n]*==", text, re.M | re.I)
        blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.M | re.I)
        assert pins, path
        assert "://" not in text
        assert "--index" not in text
        assert all("--hash=sha256:" in block for block in blocks if block.strip()), path


def test_nothing_prints_but_the_command_line() -> None:
    """A file that is a program of its own (it runs as ``__main__``) may print: it speaks to whoever started it."""
    prints = [
        f"{shown(path)}:{node.lineno}"
        for path in python_files(PACKAGE)
        if not path.is_relative_to(PACKAGE / "cli") and '__name__ == "__main__"' not in text_of(path)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not prints


def test_no_shell_is_ever_started_from_python() -> None:
    shells = [
        f"{shown(path)}:{node.lineno}"
        for path in python_files(PACKAGE)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and (
            any(
                k.arg == "shell" and not (isinstance(k.value, ast.Constant) and k.value.value is False)
                for k in node.keywords
            )
            or (
                isinstance(node.func, ast.Attribute)
                and node.func.attr in {"create_subprocess_shell", "popen", "system"}
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in {"os", "asyncio"}
            )
        )
    ]
    assert not shells


def test_no_code_is_left_for_later() -> None:
    later = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|XX" + r"X)\b|raise NotImplemented" + "Error")
    found = [
        f"{shown(path)}:{number}: {line.strip()}"
        for path in files()
        if path.suffix in {".py", ".sh", ".c", ".h", ".js"} and path != Path(__file__)
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if later.search(line)
    ]
    assert not found


def test_only_named_edges_catch_everything() -> None:
    """``except Exception`` stands only where a comment says why, or to tidy up and raise the same again."""
    unexplained = []
    for path in python_files(PACKAGE):
        lines = text_of(path).splitlines()
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            names = ast.walk(node.type) if node.type is not None else []
            broad = node.type is None or any(
                isinstance(n, ast.Name) and n.id in {"Exception", "BaseException"} for n in names
            )
            if isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None:
                continue
            about = lines[node.lineno - 1 : node.body[0].lineno]
            if broad and not any(WHY.search(line) for line in about):
                unexplained.append(f"{shown(path)}:{node.lineno}")
    assert not unexplained
