"""What all tests share: one real lab for the whole run, patience of Hypothesis, and a Ctrl-C that is heard."""

import signal

from hypothesis import HealthCheck, settings

pytest_plugins = ("tests.lab_session", "tests.xen_session", "tests.drivers.vsphere.simulated")

# How long an example takes says nothing on a machine that runs hypervisors beside the tests.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_configure() -> None:
    """Hear Ctrl-C: a shell starts what runs in the background deaf to it, and programs under test inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
