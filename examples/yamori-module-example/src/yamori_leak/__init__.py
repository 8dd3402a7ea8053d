"""A stranger's module for Yamori: what leaves a VM, and how unusual it is."""

from yamori.manifest.module import ModuleManifest
from yamori_leak.assess import Memory, assess
from yamori_leak.respond import respond
from yamori_leak.sense import sense
from yamori_leak.settings import LeakSettings

MODULE = ModuleManifest(
    name="leak",
    summary="Finds VMs that send far more than they ever did, and holds them to twice their usual rate",
    settings=LeakSettings,
    reads=frozenset({"usage"}),
    wants=frozenset({"limits"}),
    proposes=frozenset({"throttle"}),
    memory=Memory,
    sense=sense,
    assess=assess,
    respond=respond,
)
