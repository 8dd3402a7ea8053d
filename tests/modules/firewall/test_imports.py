"""Files as those programs write them: what comes of them, and what is told as lost."""

import json
from ipaddress import ip_address
from typing import Any

# ruff: noqa: E501 -- files as those programs write them
from tests.modules.firewall.fleets import fleet, four, vm
from yamori.model.filter import Addressing, Replies
from yamori.model.filter_rule import ICMP, TCP, UDP, Direction
from yamori.modules.firewall.carried.inwards import networkpolicy, nsx, nwfilter, openstack, pve
from yamori.modules.firewall.carried.lost import Carried
from yamori.modules.firewall.compile import Compiled, compile_groups
from yamori.modules.firewall.flow import Flow, judged
from yamori.modules.firewall.reading import read_groups
from yamori.modules.firewall.writing import to_text

IN, OUT = Direction.IN, Direction.OUT


def compiled(carried: Carried, **labels: dict[str, str]) -> Compiled:
    """Compile what a person would get: the text that is written, for VMs numbered in order."""
    vms = [vm(name, number + 1, **each) for number, (name, each) in enumerate(labels.items())]
    return compile_groups(read_groups(to_text(carried.firewall), "carried"), fleet(*vms))


def passes(there: Compiled, name: str, way: Direction, peer: str, port: int | None, protocol: int = TCP) -> bool:
    number = int(there.cards[f"id-{name}/0"].card.mac[-2:], 16)
    own = four(number) if ":" not in peer else f"2001:db8::{number:x}"
    flow = Flow(card="c", direction=way, protocol=protocol, own=ip_address(own), peer=ip_address(peer), port=port)
    return judged(there.cards[f"id-{name}/0"].filter, flow).allowed


def lost(carried: Carried) -> list[str]:
    return [f"{each.what}: {each.why}" for each in carried.lost if not each.by_hand]


RULE: dict[str, Any] = {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "remote_ip_prefix": None}


def test_security_groups_of_the_api_with_a_remote_group_and_an_icmp_code() -> None:
    text = json.dumps(
        {
            "security_groups": [
                {
                    "id": "1",
                    "name": "web",
                    "security_group_rules": [
                        {**RULE, "id": "a", "port_range_min": 443, "port_range_max": 443},
                        {**RULE, "id": "b", "remote_group_id": "2", "port_range_min": 22, "port_range_max": 22},
                        {**RULE, "id": "c", "protocol": "icmp", "port_range_min": 3, "port_range_max": 4},
                        {**RULE, "id": "d", "protocol": None, "direction": "egress", "ethertype": "IPv6"},
                        {**RULE, "id": "e", "remote_group_id": "9"},
                    ],
                },
                {"id": "2", "name": "bastion", "stateful": False, "security_group_rules": []},
            ]
        }
    )
    carried = openstack.read(text, "sg.json")
    there = compiled(carried, w={"security-group/web": "member"}, b={"security-group/bastion": "member"})
    assert passes(there, "w", IN, "203.0.113.1", 443)
    assert not passes(there, "w", IN, "2001:db8:9::1", 443), "it was for IPv4"
    assert passes(there, "w", IN, four(2), 22)
    assert not passes(there, "w", IN, "203.0.113.1", 22)
    assert passes(there, "w", OUT, "2001:db8:9::1", 80)
    assert not passes(there, "b", OUT, four(1), 22), "rules of others open nothing here"
    assert there.cards["id-b/0"].filter.replies is Replies.NONE
    assert [each.partition(":")[0] for each in lost(carried)] == ["rule web c", "rule web e"]


def test_security_groups_as_the_client_prints_them() -> None:
    shown = {
        "id": "1",
        "name": "old",
        "rules": "direction='ingress', ethertype='IPv4', id='x', port_range_max='80', port_range_min='80', protocol='tcp', remote_ip_prefix='10.0.0.0/24'\ndirection='egress', ethertype='IPv4', id='y'",
    }
    there = compiled(openstack.read(json.dumps(shown), "s"), w={"security-group/old": "member"})
    assert passes(there, "w", IN, "10.0.0.9", 80)
    assert not passes(there, "w", IN, "10.0.1.9", 80)
    assert passes(there, "w", OUT, "10.0.1.9", 80)
    rows = [
        {
            "ID": "x",
            "IP Protocol": "udp",
            "Ethertype": "IPv4",
            "IP Range": "0.0.0.0/0",
            "Port Range": "53:53",
            "Direction": "ingress",
            "Remote Security Group": None,
            "Security Group": "abc",
        }
    ]
    there = compiled(openstack.read(json.dumps(rows), "s"), w={"security-group/abc": "member"})
    assert passes(there, "w", IN, "10.0.1.9", 53, UDP)
    listed = openstack.read(json.dumps([{"ID": "1", "Name": "a", "Description": ""}]), "s")
    assert "use show, or the API" in lost(listed)[0]


POLICIES = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
        - namespaceSelector: {matchLabels: {team: a}}
        - podSelector: {matchExpressions: [{key: app, operator: In, values: [web, api]}]}
      ports: [{protocol: TCP, port: 5432}, {port: metrics}, {protocol: UDP, port: 100, endPort: 200}]
  egress:
    - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
      ports: [{protocol: UDP, port: 53}]
---
apiVersion: v1
kind: Service
metadata: {name: x}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: shop}
spec: {podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [db]}]}}
"""


def test_network_policies() -> None:
    carried = networkpolicy.read(POLICIES, "np.yaml")
    there = compiled(
        carried,
        db={"app": "db", "namespace": "shop"},
        web={"app": "web", "namespace": "shop"},
        dns={"app": "dns", "namespace": "kube-system"},
        other={"app": "web", "namespace": "elsewhere"},
    )
    assert passes(there, "db", IN, "172.17.0.9", 5432)
    assert not passes(there, "db", IN, "172.17.1.9", 5432)
    assert passes(there, "db", IN, four(2), 5432)
    assert passes(there, "db", IN, four(2), 150, UDP)
    assert not passes(there, "db", IN, four(4), 5432), "another namespace"
    assert passes(there, "db", OUT, four(3), 53, UDP)
    assert not passes(there, "db", OUT, "8.8.8.8", 53, UDP)
    assert not passes(there, "web", IN, four(4), 80), "selected by closed"
    assert passes(there, "web", OUT, "8.8.8.8", 443), "egress is not closed"
    assert passes(there, "other", IN, "8.8.8.8", 443), "no policy selects it"
    told = lost(carried)
    assert any(each.startswith("np.yaml:10:") and "only their names" in each for each in told), told
    assert any(each.startswith("np.yaml:12:") and "a port by name" in each for each in told), told
    assert any(each.startswith("np.yaml:17:") and "kind Service" in each for each in told), told


PVE = """# file: cluster.fw
[OPTIONS]
enable: 1
[ALIASES]
office 192.0.2.0/25 # here
[IPSET admins]
dc/office
!192.0.2.66
[RULES]
IN ACCEPT -p tcp -dport 8006
[group webserver]
IN HTTP(ACCEPT)
IN HTTPS(ACCEPT) -log nolog
# file: /etc/pve/firewall/100.fw
[OPTIONS]
enable: 1
policy_in: DROP
ipfilter: 1
[RULES]
IN DROP -source 198.51.100.0/24 # the bad ones
GROUP webserver
IN SSH(ACCEPT) -source +dc/admins
|IN ACCEPT
IN ACCEPT -i net0 -p tcp -dport 99
IN ACCEPT -p icmp -icmp-type echo-request
OUT REJECT -p tcp -dport 25
"""


def test_files_of_pve() -> None:
    carried = pve.read(PVE, "all.fw")
    there = compiled(carried, m={"vmid": "100"})
    assert passes(there, "m", IN, "203.0.113.1", 443)
    assert not passes(there, "m", IN, "198.51.100.1", 443), "denied before it was allowed"
    assert passes(there, "m", IN, "192.0.2.1", 22)
    assert not passes(there, "m", IN, "192.0.2.66", 22)
    assert not passes(there, "m", IN, "203.0.113.1", 8006)
    assert not passes(there, "m", IN, "203.0.113.1", 99)
    assert passes(there, "m", IN, "203.0.113.1", None, ICMP)
    assert not passes(there, "m", OUT, "203.0.113.1", 25)
    assert there.cards["id-m/0"].filter.addressing is Addressing.PINNED
    told = lost(carried)
    assert any("all.fw:24:1: IN ACCEPT -i net0" in each for each in told), told
    assert any("[RULES] of cluster.fw" in each for each in told)
    assert any("what no rule names passes" in each for each in told), "all but port 25 cannot be said"


NWFILTER = """<filters>
<filter name='ours' chain='root'><uuid>5a</uuid>
  <filterref filter='clean-traffic'/>
  <rule action='accept' direction='in' priority='200'><tcp dstportstart='22' srcipaddr='10.1.0.0' srcipmask='16'/></rule>
  <rule action='drop' direction='in' priority='100'><tcp srcipaddr='10.1.9.0' srcipmask='255.255.255.0'/></rule>
  <rule action='accept' direction='in'><tcp dstportstart='80' dstportend='81'/></rule>
  <rule action='accept' direction='in'><tcp dstportstart='443' connlimit-above='3'/></rule>
  <rule action='accept' direction='out'><udp dstipaddr='$DNS' dstportstart='53'/></rule>
  <rule action='accept' direction='out'><icmp type='8'/></rule>
  <rule action='drop' direction='inout' priority='1000'><all/></rule>
</filter>
</filters>"""


def test_network_filters() -> None:
    carried = nwfilter.read(NWFILTER, "f.xml")
    there = compiled(carried, m={"nwfilter": "ours"})
    assert not passes(there, "m", IN, "10.1.2.3", 22), "a denial of TCP before it takes part of it away"
    assert not passes(there, "m", IN, "203.0.113.9", 80)
    assert passes(there, "m", OUT, "203.0.113.9", None, ICMP)
    assert not passes(there, "m", OUT, "203.0.113.9", 53, UDP)
    assert not passes(there, "m", IN, "2001:db8:9::1", 80), "clean-traffic lets no IPv6 through"
    told = lost(carried)
    assert any(each.startswith("f.xml:7:3: ") and "connlimit-above" in each for each in told), told
    assert any(each.startswith("f.xml:8:3: ") and "variables are not" in each for each in told), told
    simple = NWFILTER.replace(
        "<tcp srcipaddr='10.1.9.0' srcipmask='255.255.255.0'/>",
        "<all srcipaddr='10.1.9.0' srcipmask='255.255.255.0'/>",
    )
    there = compiled(nwfilter.read(simple, "f.xml"), m={"nwfilter": "ours"})
    assert passes(there, "m", IN, "10.1.2.3", 22)
    assert not passes(there, "m", IN, "10.1.9.3", 22), "denied before"
    assert passes(there, "m", IN, "203.0.113.9", 80)


def nsx_rule(number: int, **parts: Any) -> dict[str, Any]:
    plain = {"source_groups": ["ANY"], "destination_groups": ["ANY"], "services": ["ANY"], "scope": ["ANY"]}
    return {
        "resource_type": "Rule",
        "id": f"r{number}",
        "sequence_number": number,
        "action": "ALLOW",
        **plain,
        **parts,
    }


def test_a_distributed_firewall() -> None:
    group = "/infra/domains/default/groups/"
    tag = {"resource_type": "Condition", "member_type": "VirtualMachine", "key": "Tag", "operator": "EQUALS"}
    tree = {
        "groups": [
            {"id": "web", "path": group + "web", "expression": [{**tag, "value": "tier|web"}]},
            {
                "id": "db",
                "path": group + "db",
                "display_name": "DB servers",
                "expression": [{**tag, "value": "tier|db"}],
            },
            {
                "id": "seg",
                "path": group + "seg",
                "expression": [{"resource_type": "PathExpression", "paths": ["/x"]}],
            },
        ],
        "services": [
            {
                "id": "HTTPS",
                "path": "/infra/services/HTTPS",
                "service_entries": [
                    {"resource_type": "L4PortSetServiceEntry", "l4_protocol": "TCP", "destination_ports": ["443"]}
                ],
            }
        ],
        "security_policies": [
            {
                "id": "late",
                "category": "Application",
                "rules": [
                    nsx_rule(30, action="DROP"),
                    nsx_rule(10, source_groups=[group + "web"], destination_groups=[group + "db"]),
                    nsx_rule(20, destination_groups=[group + "web"], services=["/infra/services/HTTPS"]),
                    nsx_rule(25, source_groups=[group + "seg"]),
                    nsx_rule(5, disabled=True),
                ],
            },
            {
                "id": "first",
                "category": "Emergency",
                "rules": [nsx_rule(1, action="DROP", source_groups=["198.51.100.0/24"], direction="IN")],
            },
        ],
    }
    carried = nsx.read(json.dumps(tree), "dfw.json")
    there = compiled(carried, web={"tier": "web"}, db={"tier": "db"}, other={})
    assert passes(there, "web", OUT, four(2), 5432)
    assert passes(there, "db", IN, four(1), 5432)
    assert not passes(there, "db", IN, four(3), 5432)
    assert passes(there, "web", IN, "203.0.113.1", 443)
    assert not passes(there, "web", IN, "198.51.100.1", 443), "the emergency rule comes first"
    assert passes(there, "other", OUT, four(1), 443), "anybody may call a web server, by IN_OUT"
    assert not passes(there, "other", OUT, "8.8.8.8", 443)
    assert any("members by PathExpression" in each for each in lost(carried))
