"""Guards what each VM is owed: finds who harms its neighbours, holds it mildly, lets go when it is over."""

from yamori.manifest.module import ModuleManifest
from yamori.model.actions import Migrate, Release, Throttle
from yamori.modules.guard.assess import assess
from yamori.modules.guard.memory import GuardMemory
from yamori.modules.guard.respond import respond
from yamori.modules.guard.sense import sense
from yamori.modules.guard.settings import GuardSettings
from yamori.modules.guard.steps import MigrateSteps, ReleaseSteps, ThrottleSteps

MODULE = ModuleManifest(
    name="guard",
    summary="Finds the VM that takes from its neighbours what they are owed, holds it, and lets go in time",
    settings=GuardSettings,
    reads=frozenset({"usage"}),
    wants=frozenset({"limits", "migration"}),
    proposes=frozenset({Throttle.verb, Release.verb, Migrate.verb}),
    memory=GuardMemory,
    sense=sense,
    assess=assess,
    respond=respond,
    carries_out={Throttle.verb: ThrottleSteps, Release.verb: ReleaseSteps, Migrate.verb: MigrateSteps},
)
