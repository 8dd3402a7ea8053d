"""vSphere: a vCenter or a single ESXi, through pyVmomi. See docs/decisions/0014-vsphere-driver.md."""

from yamori.capabilities.session import Session
from yamori.drivers.vsphere.quality import QUALITY
from yamori.drivers.vsphere.settings import VSphereSettings
from yamori.manifest.driver import DriverManifest
from yamori.model.errors import Unsupported
from yamori.model.ids import EndpointName


async def connect(endpoint: EndpointName, settings: VSphereSettings) -> Session:
    """Return at once with a session that connects in the background.

    Raises Unsupported without pyVmomi, Invalid when the CA's file cannot be used.
    """
    try:
        from yamori.drivers.vsphere.session import VSphereSession
    except ImportError as error:
        raise Unsupported("vsphere", "pyvmomi is not installed: pip install 'yamori[vsphere]'") from error
    return VSphereSession(endpoint, settings)


DRIVER = DriverManifest(
    name="vsphere",
    settings=VSphereSettings,
    connect=connect,
    summary="VMware vCenter and single ESXi hosts through the vSphere API (6.5 and later)",
    quality=QUALITY,
)
