"""The page of commands, from the command line itself."""

from collections.abc import Iterator
from typing import Any

import typer.main
from typer.core import TyperGroup

from scripts.reference.markdown import plain, table
from yamori.cli.exits import MEANINGS
from yamori.cli.main import app

COMMANDS = """# Command line

Every command takes `--help`, which shows the same.

## Exit codes

"""


def commands_page() -> str:
    """Exit codes, then every command with its arguments and options."""
    codes = table(("code", "meaning"), ((f"`{code.value}`", meaning) for code, meaning in MEANINGS.items()))
    return COMMANDS + codes + "".join(each(typer.main.get_command(app), ("yamori",)))


def each(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    """One section for each command, those of a group after the group."""
    if isinstance(command, TyperGroup):
        if len(path) > 1:
            yield f"\n## {' '.join(path)}\n\n{plain(command.help or '')}\n"
        for name, below in command.commands.items():
            if not below.hidden:
                yield from each(below, (*path, name))
        return
    context = command.context_class(command, info_name=" ".join(path))
    usage = " ".join([*path, *command.collect_usage_pieces(context)])
    title = f"\n{'##' if len(path) == 2 else '###'} {' '.join(path)}\n\n"
    text = f"{title}{body(command.help or '')}\n```\n{usage}\n```\n"
    rows = list(options(command, context))
    example = f"\n{body(command.epilog)}" if command.epilog else ""
    yield text + ("\n" + table(("option", "meaning"), rows) if rows else "") + example


def body(help_text: str) -> str:
    """The help text; paragraphs that keep their lines (after a backspace mark) become code."""
    parts = []
    for paragraph in help_text.split("\n\n"):
        lines = paragraph.strip("\n").split("\n")
        if lines[0].strip() == "\b":
            parts.append("```\n" + "\n".join(line.strip() for line in lines[1:]) + "\n```\n")
        elif paragraph.strip():
            parts.append(plain(paragraph) + "\n")
    return "\n".join(parts)


def options(command: Any, context: Any) -> Iterator[tuple[str, str]]:
    """Arguments and options with their help."""
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in record[0]:
            yield f"`{record[0]}`", record[1]
