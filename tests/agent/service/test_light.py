"""What runs on a host loads no more than it needs: dom0 is a small machine."""

import subprocess
import sys

import pytest

HEAVY = {"sqlalchemy", "alembic", "fastapi", "starlette", "uvicorn", "typer", "rich", "httpx", "prometheus_client"}


@pytest.mark.parametrize(
    "code",
    [
        "import yamori.agent.__main__",
        "import yamori.agent.service.running, yamori.agent.service.enrolling, yamori.agent.functions",
        "import yamori.agent.install.plan",
    ],
)
def test_the_service_loads_neither_the_database_nor_the_web_nor_the_command_line(code: str) -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(','.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not set(outcome.stdout.strip().split(",")) & HEAVY


def test_nothing_that_starts_threads_is_loaded_before_rights_are_given_up() -> None:
    code = "import sys, yamori.agent.__main__; print('numpy' in sys.modules)"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert outcome.stdout.strip() == "False"
