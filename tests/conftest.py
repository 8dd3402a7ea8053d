"""What all tests share: one real lab for the whole run, and patience of Hypothesis on a busy machine."""

from hypothesis import HealthCheck, settings

pytest_plugins = ("tests.lab_session", "tests.xen_session", "tests.drivers.vsphere.simulated")

# How long an example takes says nothing on a machine that runs hypervisors beside the tests.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
