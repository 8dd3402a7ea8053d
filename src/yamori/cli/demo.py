"""`yamori demo`: a noisy VM is found, held, verified and released; on real hypervisors or on the simulator."""

from __future__ import annotations

from typing import Annotated

import typer

from yamori.cli.exits import ExitCode
from yamori.cli.options import Json, StateDir
from yamori.cli.terminal import clean, emit, say, tell

EXAMPLE = """Examples:

\b
  yamori demo --simulated --once
  yamori demo --once --json > story.json
  yamori demo --on xen --once
  yamori demo

JSON: the report: {"stage", "acts": [...], "verified", "left_behind", ...}.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(demo)


def demo(
    on: Annotated[
        str, typer.Option("--on", help="Where it plays: qemu, xen or simulator (no root, no hypervisor).")
    ] = "qemu",
    simulated: Annotated[bool, typer.Option("--simulated", help="The same as --on simulator.")] = False,
    once: Annotated[bool, typer.Option("--once", help="End after the story instead of staying up.")] = False,
    speed: Annotated[
        float, typer.Option("--speed", min=0.1, max=1000, help="Simulated seconds in one of ours.")
    ] = 10.0,
    seed: Annotated[int, typer.Option("--seed", help="Simulator: the same seed tells the same story.")] = 1,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Only these acts, cpu, memory or disk; may be repeated.")
    ] = None,
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where to serve.")] = "127.0.0.1:0",
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Play the story. Code 0 only if every effect was verified and nothing was left behind."""
    import asyncio

    from yamori.cli.interrupt import stop_on_signals
    from yamori.cli.progress import steps
    from yamori.cli.welcome import welcome
    from yamori.demo.play import SIMULATOR, Audience, DemoOptions, play
    from yamori.demo.settings import QEMU, SETTINGS

    place = SIMULATOR if simulated else on
    if place not in {SIMULATOR, *SETTINGS}:
        known = ", ".join((*SETTINGS, SIMULATOR))
        raise typer.BadParameter(f"{clean(place)!r} is not one of {known}", param_hint="--on")
    kinds = tuple(kind or ())
    there = SETTINGS.get(place, QEMU).kinds
    if odd := [k for k in kinds if k not in there]:
        raise typer.BadParameter(f"{clean(odd[0])!r} is not one of {', '.join(there)}", param_hint="--kind")
    options = DemoOptions(
        on=place,
        once=once or as_json,
        listen=listen,
        speed=speed,
        seed=seed,
        kinds=kinds,
        state_dir=state_dir,
    )

    async def run() -> None:
        stop = asyncio.Event()
        with stop_on_signals(stop), steps("setting the stage", quiet=as_json) as progress:
            audience = Audience(
                tell=(lambda text: tell(clean(text, 500))) if as_json else (lambda text: say(clean(text, 500))),
                progress=progress,
                ready=lambda service: welcome(service, tell),
            )
            report = await play(options, audience, stop=stop)
        if as_json:
            emit(report.plain())
        if not report.verified:
            for failure in (*report.failures, *(f"left behind: {each}" for each in report.left_behind)):
                tell(f"not verified: {clean(failure, 500)}")
            raise typer.Exit(ExitCode.FAILED)

    asyncio.run(run())
