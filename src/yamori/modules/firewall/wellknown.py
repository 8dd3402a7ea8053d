"""Services that every document knows by name (IANA, Service Name and Transport Protocol Port Number Registry)."""

from collections.abc import Mapping
from types import MappingProxyType

from yamori.modules.firewall.service import Match, short

_WRITTEN = {
    "ping": "icmp/echo-request icmpv6/echo-request",
    "all-icmp": "icmp icmpv6",
    "ftp-control": "tcp/21",
    "ssh": "tcp/22",
    "telnet": "tcp/23",
    "smtp": "tcp/25",
    "submission": "tcp/587 tcp/465",
    "dns": "udp/53 tcp/53",
    "dns-over-tls": "tcp/853",
    "tftp": "udp/69",
    "http": "tcp/80",
    "https": "tcp/443",
    "http3": "udp/443",
    "web": "tcp/80,443",
    "kerberos": "tcp/88 udp/88",
    "pop3": "tcp/110",
    "pop3s": "tcp/995",
    "ntp": "udp/123",
    "imap": "tcp/143",
    "imaps": "tcp/993",
    "snmp": "udp/161",
    "snmp-trap": "udp/162",
    "bgp": "tcp/179",
    "ldap": "tcp/389 udp/389",
    "ldaps": "tcp/636",
    "smb": "tcp/445",
    "syslog": "udp/514",
    "syslog-tls": "tcp/6514",
    "iscsi": "tcp/3260",
    "ike": "udp/500,4500",
    "ipsec": "ip/esp ip/ah udp/500,4500",
    "nfs": "tcp/2049",
    "mssql": "tcp/1433",
    "oracle": "tcp/1521",
    "radius": "udp/1812,1813",
    "mysql": "tcp/3306",
    "rdp": "tcp/3389 udp/3389",
    "postgresql": "tcp/5432",
    "amqp": "tcp/5672",
    "amqps": "tcp/5671",
    "winrm": "tcp/5985,5986",
    "redis": "tcp/6379",
    "kubernetes-api": "tcp/6443",
    "vnc": "tcp/5900-5999",
    "wireguard": "udp/51820",
    "zabbix-agent": "tcp/10050",
    "mongodb": "tcp/27017",
    "memcached": "tcp/11211",
    "elasticsearch": "tcp/9200",
    "prometheus": "tcp/9090",
    "node-exporter": "tcp/9100",
    "ceph": "tcp/3300,6789,6800-7568",
    "gre": "gre",
    "vrrp": "vrrp",
}


def _read(text: str) -> tuple[Match, ...]:
    return tuple(match for word in text.split() if (match := short(word)) is not None)


WELL_KNOWN: Mapping[str, tuple[Match, ...]] = MappingProxyType({n: _read(t) for n, t in _WRITTEN.items()})
"""By name: the alternatives that the name stands for."""
