"""Metrics for Prometheus, made afresh for each scrape from what the facade says. Bounded in number of series."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from yamori.control.agents import AgentState, AgentView
from yamori.control.facade import Contact, EndpointView, Facade, Standing, VMView
from yamori.model.finding import Finding, Severity
from yamori.model.run import Run, RunState
from yamori.web.overview import ordered
from yamori.web.standing import WORST_FIRST, standing_of

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_VMS = 2_000
"""VMs with series of their own. The rest is only counted, and that it is left out is a metric too."""
MOST_ENDPOINTS = 500
LATEST = 1_000
"""How many of the newest findings and runs are counted."""
LONGEST_LABEL = 128

RATES: Mapping[str, tuple[str, str]] = {
    "cpu_cores": ("yamori_vm_cpu_cores", "Cores of CPU time that the VM uses."),
    "cpu_delay": ("yamori_vm_cpu_delay_ratio", "Seconds per second that runnable vCPUs waited for a CPU."),
    "memory_assigned_bytes": ("yamori_vm_memory_assigned_bytes", "Memory that the guest may use."),
    "memory_resident_bytes": ("yamori_vm_memory_resident_bytes", "Host memory that holds the VM."),
    "disk_iops": ("yamori_vm_disk_operations_per_second", "Disk operations, reads and writes."),
    "disk_bytes_s": ("yamori_vm_disk_bytes_per_second", "Disk traffic, reads and writes."),
    "disk_latency_s": ("yamori_vm_disk_latency_seconds", "Mean time of a disk operation."),
    "net_rx_bytes_s": ("yamori_vm_network_receive_bytes_per_second", "Traffic towards the guest."),
    "net_tx_bytes_s": ("yamori_vm_network_transmit_bytes_per_second", "Traffic from the guest."),
    "net_drops": ("yamori_vm_network_drops_ratio", "Fraction of packets dropped."),
}
"""Name and meaning of the metric of each rate. A rate that is not known has no sample: never zero."""

VM_LABELS = ("vm", "name", "host")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scrape(Collector):
    """What one scrape tells. ``vms`` are in order; only the first ``most_vms`` get series of their own."""

    endpoints: Sequence[EndpointView]
    vms: Sequence[VMView]
    findings: Sequence[Finding]
    runs: Sequence[Run]
    wrong_tokens: int
    kill_switch: bool = False
    agents: Sequence[AgentView] = ()
    most_vms: int = MOST_VMS

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield from self._endpoints()
        yield from self._fleet()
        yield from self._agents()
        yield from self._each_vm()
        yield from self._work()

    def _endpoints(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "yamori_endpoint_up", "1 while the endpoint answers.", labels=["endpoint", "driver"]
        )
        tick = GaugeMetricFamily(
            "yamori_endpoint_tick_seconds", "What the last reading cost.", labels=["endpoint"]
        )
        known = GaugeMetricFamily(
            "yamori_endpoint_usage_known", "1 while usage of an endpoint's VMs is read.", labels=["endpoint"]
        )
        for end in self.endpoints[:MOST_ENDPOINTS]:
            known.add_metric([_label(end.name)], float(end.contact is Contact.UP and end.gap is None))
            up.add_metric([_label(end.name), _label(end.driver)], float(end.contact is Contact.UP))
            if end.tick_s is not None:
                tick.add_metric([_label(end.name)], end.tick_s)
        yield from (up, known, tick)

    def _fleet(self) -> Iterator[Metric]:
        counts: Counter[Standing] = Counter(standing_of(v) for v in self.vms)
        standing = GaugeMetricFamily(
            "yamori_vms", "VMs by the worst standing of their objectives.", labels=["standing"]
        )
        for word in WORST_FIRST:
            standing.add_metric([word], counts[word])
        yield standing
        yield _one("yamori_vms_held", "VMs under a throttle of ours.", sum(v.hold is not None for v in self.vms))
        yield _one(
            "yamori_vms_drifted", "VMs that somebody else changed by hand.", sum(bool(v.drift) for v in self.vms)
        )
        left_out = max(0, len(self.vms) - self.most_vms)
        yield _one(
            "yamori_metrics_vms_left_out", "VMs without series of their own, to bound their number.", left_out
        )
        left_out = max(0, len(self.endpoints) - MOST_ENDPOINTS)
        yield _one("yamori_metrics_endpoints_left_out", "Endpoints without series of their own.", left_out)

    def _agents(self) -> Iterator[Metric]:
        enrolled = [a for a in self.agents if a.state is AgentState.ENROLLED]
        yield _one("yamori_agents_enrolled", "Agents on the roll.", len(enrolled))
        yield _one("yamori_agents_connected", "Agents that are connected.", sum(a.connected for a in enrolled))
        connected = GaugeMetricFamily(
            "yamori_agent_connected", "1 while the agent of an endpoint is connected.", labels=["agent"]
        )
        expiry = GaugeMetricFamily(
            "yamori_agent_certificate_expiry_timestamp_seconds",
            "When the certificate of an agent ends, in seconds since the epoch.",
            labels=["agent"],
        )
        for agent in enrolled[:MOST_ENDPOINTS]:
            connected.add_metric([_label(agent.name)], float(agent.connected))
            if agent.expires_at is not None:
                expiry.add_metric([_label(agent.name)], agent.expires_at.timestamp())
        yield from (connected, expiry)

    def _each_vm(self) -> Iterator[Metric]:
        rates = {k: GaugeMetricFamily(n, h, labels=VM_LABELS) for k, (n, h) in RATES.items()}
        broken = GaugeMetricFamily(
            "yamori_vm_objective_broken",
            "1 while an objective is broken, 0 while it is kept; no sample while that is unknown.",
            labels=(*VM_LABELS, "objective"),
        )
        held = GaugeMetricFamily("yamori_vm_held", "1 while a throttle of ours is in force.", labels=VM_LABELS)
        for view in self.vms[: self.most_vms]:
            labels = [_label(view.vm.id), _label(view.vm.name), _label(view.vm.host or "")]
            for key, family in rates.items():
                value = view.rates.get(key)
                if value is not None:
                    family.add_metric(labels, value)
            for served in view.served:
                if served.standing in (Standing.KEPT, Standing.BROKEN):
                    broken.add_metric([*labels, served.objective], float(served.standing is Standing.BROKEN))
            held.add_metric(labels, float(view.hold is not None))
        yield from (*rates.values(), broken, held)

    def _work(self) -> Iterator[Metric]:
        severities = Counter(f.severity for f in self.findings if f.closed_at is None)
        findings = GaugeMetricFamily("yamori_findings_open", "Open findings.", labels=["severity"])
        for severity in Severity:
            findings.add_metric([severity], severities[severity])
        states = Counter(r.state for r in self.runs)
        runs = GaugeMetricFamily("yamori_runs", f"The newest {LATEST} runs by state.", labels=["state"])
        for state in RunState:
            runs.add_metric([state], states[state])
        yield from (findings, runs)
        yield _one("yamori_kill_switch_on", "1 while modules are kept from acting.", self.kill_switch)
        yield _one("yamori_wrong_tokens", "Wrong tokens shown since the start.", self.wrong_tokens)


async def exposition(facade: Facade, *, wrong_tokens: int, most_vms: int = MOST_VMS) -> bytes:
    """Ask the facade and write Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(
        Scrape(
            endpoints=facade.endpoints(),
            vms=ordered(facade.vms()),
            findings=await facade.findings(open_only=True, limit=LATEST),
            runs=await facade.runs(limit=LATEST),
            wrong_tokens=wrong_tokens,
            kill_switch=facade.kill_switch().on,
            agents=await facade.agents(),
            most_vms=most_vms,
        )
    )
    return generate_latest(registry)


def _one(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def _label(untrusted_name: str) -> str:
    """Bound a name; the library escapes quotes, backslashes and line ends."""
    return untrusted_name.encode("utf-8", "replace").decode()[:LONGEST_LABEL]
