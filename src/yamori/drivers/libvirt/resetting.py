"""What a family has in place of a reset button."""

from typing import Any

import libvirt

from yamori.drivers.libvirt.failure import of_link, text_of
from yamori.model.errors import Rejected, Unsupported


def press_button(handle: Any) -> None:
    """Reset as the machine's button does: the VM stays the same process with the same limits."""
    handle.reset()


def start_anew(handle: Any) -> None:
    """Cut the power and start again from the stored definition: Xen has no button.

    Live limits are gone afterwards. A VM without a stored definition would be gone as well, so it is refused:
    Unsupported. Raises Rejected when the VM is off and does not start again.
    """
    if not handle.isPersistent():
        why = (
            "Xen has no reset button: the VM would be cut off and started from its stored definition, and has none"
        )
        raise Unsupported("power", why, subject=handle.UUIDString())
    handle.destroyFlags(libvirt.VIR_DOMAIN_DESTROY_DEFAULT)
    try:
        handle.create()
    except libvirt.libvirtError as error:
        if of_link(error):
            raise
        raise Rejected(
            f"it was cut off and did not start again: {text_of(error)}", subject=handle.UUIDString()
        ) from error
