"""A stranger's driver and a stranger's module: installed, found by entry point, and proven by the shipped kits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
FIND = """
import json, sys
from importlib.metadata import entry_points
group, name = sys.argv[1:]
(found,) = [e for e in entry_points(group=group) if e.name == name]
manifest = found.load()
module = sys.modules[manifest.settings.__module__]
print(json.dumps({"name": manifest.name, "file": module.__file__, "summary": manifest.summary}))
"""
TESTS = {"driver": "test_toybox.py", "module": "test_leak.py"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which both packages are installed, from their source and without any network."""
    target = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    packages = [str(EXAMPLES / f"yamori-{kind}-example") for kind in TESTS]
    done = subprocess.run(
        [*command, "--disable-pip-version-check", "--target", str(target), *packages],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


def run(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize(
    ("group", "name", "package"),
    [("yamori.drivers", "toybox", "yamori_toybox"), ("yamori.modules", "leak", "yamori_leak")],
)
def test_a_strangers_package_is_found_by_its_entry_point(
    site: Path, tmp_path: Path, group: str, name: str, package: str
) -> None:
    done = run(site, tmp_path, "-c", FIND, group, name)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["name"] == name
    assert found["summary"]
    assert Path(found["file"]).is_relative_to(site / package), "it is the installed package that was found"


def test_the_strangers_driver_passes_the_kit(site: Path, tmp_path: Path) -> None:
    example = EXAMPLES / "yamori-driver-example"
    result = tmp_path / "toybox.json"
    done = run(
        site,
        tmp_path,
        *("-m", "pytest", "-q", "-c", str(example / "pyproject.toml"), "-p", "no:cacheprovider"),
        *("-p", "yamori.testing.conformance.report", f"--conformance-report={result}"),
        str(example / "tests" / TESTS["driver"]),
    )
    assert done.returncode == 0, done.stdout[-3000:]
    (subject,) = json.loads(result.read_text(encoding="utf-8"))["subjects"]
    assert (subject["driver"], subject["hypervisor"]) == ("toybox", "Toybox 7.1")
    outcomes = [test["outcome"] for test in subject["tests"]]
    assert outcomes.count("passed") > 50
    assert "failed" not in outcomes
    assert subject["cells"]["limits.cpu_cap"]["level"] == "native"
    assert subject["cells"]["migration.live"] == {"level": "none", "reason": "a machine cannot leave its box"}


def test_the_strangers_module_passes_the_kit(site: Path, tmp_path: Path) -> None:
    example = EXAMPLES / "yamori-module-example"
    done = run(
        site,
        tmp_path,
        *("-m", "pytest", "-q", "-c", str(example / "pyproject.toml"), "-p", "no:cacheprovider"),
        str(example / "tests" / TESTS["module"]),
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


def test_the_examples_touch_nothing_of_ours_but_what_is_public() -> None:
    """A stranger needs the model, the capabilities, the manifest and the kit, and nothing else."""
    public = ("yamori.model", "yamori.capabilities", "yamori.manifest", "yamori.testing")
    for kind in TESTS:
        for path in sorted((EXAMPLES / f"yamori-{kind}-example").rglob("*.py")):
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.startswith(("from yamori.", "import yamori.")):
                    assert line.split()[1].startswith(public), f"{path.name}: {line}"
