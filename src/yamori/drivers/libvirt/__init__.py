"""libvirt: QEMU/KVM hosts, and libvirt's built-in test driver. See docs/decisions/0006-libvirt-driver.md."""

from yamori.capabilities.session import Session
from yamori.drivers.libvirt.quality import QUALITY
from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.manifest.driver import DriverManifest
from yamori.model.errors import Unsupported
from yamori.model.ids import EndpointName


async def connect(endpoint: EndpointName, settings: LibvirtSettings) -> Session:
    """Return at once with a session that connects in the background. Raises Unsupported without libvirt-python."""
    try:
        from yamori.drivers.libvirt.session import LibvirtSession
    except ImportError as error:
        raise Unsupported("libvirt", "libvirt-python is not installed: pip install 'yamori[libvirt]'") from error
    return LibvirtSession(endpoint, settings)


DRIVER = DriverManifest(
    name="libvirt",
    settings=LibvirtSettings,
    connect=connect,
    summary="QEMU and KVM hosts through libvirt (TLS, SSH, local socket, unprivileged session)",
    quality=QUALITY,
)
