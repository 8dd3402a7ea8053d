"""A stranger's driver for Yamori: the Toybox hypervisor."""

from yamori.manifest.driver import DriverManifest, Tier
from yamori_toybox.session import connect
from yamori_toybox.settings import ToyboxSettings

DRIVER = DriverManifest(
    name="toybox",
    settings=ToyboxSettings,
    connect=connect,
    tier=Tier.BRONZE,
    summary="The Toybox hypervisor, which starts no real machines: an example of a driver",
)
