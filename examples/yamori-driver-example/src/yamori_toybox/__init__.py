"""A stranger's driver for Yamori: the Toybox hypervisor."""

from yamori.manifest.driver import DriverManifest
from yamori.manifest.quality import Done, Todo
from yamori_toybox.session import connect
from yamori_toybox.settings import ToyboxSettings

DRIVER = DriverManifest(
    name="toybox",
    settings=ToyboxSettings,
    connect=connect,
    summary="The Toybox hypervisor, which starts no real machines: an example of a driver",
    quality={
        "Toybox": {
            "conformance-kit": Done(by=("tests/test_toybox.py",)),
            "how-to": Done(by=("README.md",)),
            "bounded-waits": Todo(lacks="a call past its time keeps its thread"),
        }
    },
)
