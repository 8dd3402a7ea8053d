"""Definitions from XML that nobody vouches for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yamori.drivers.libvirt.markup import parse
from yamori.drivers.libvirt.translate import definition, labels_for, state, version, vm_id
from yamori.model.errors import Invalid
from yamori.model.ids import HostId, VMId
from yamori.model.vm import PowerState

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
WHOLE = f"""<domain type='kvm' id='3'>
  <name>web-1</name><uuid>{UUID.upper()}</uuid>
  <metadata>
    <yamori:vm xmlns:yamori="https://yamori.dev/xmlns/vm/1" tenant="a" sla="gold"/>
    <other:vm xmlns:other="https://elsewhere.example/1" sla="bronze"/>
  </metadata>
  <memory unit='MiB'>512</memory><currentMemory unit='KiB'>262144</currentMemory>
  <vcpu placement='static' current='2'>4</vcpu>
  <cputune><shares>2048</shares></cputune>
  <devices>
    <disk type='file' device='disk'><source file='/srv/web-1.img'/><target dev='vda' bus='virtio'/></disk>
    <disk type='network' device='disk'><source protocol='rbd' name='pool/image'>
      <host name='mon' port='6789'/></source><target dev='vdb'/><readonly/></disk>
    <disk type='network' device='disk'><source protocol='nbd' name='x'>
      <host transport='unix' socket='/fabric/a.nbd'/></source><target dev='vdc'/></disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>
    <interface type='bridge'><mac address='52:54:00:AA:00:01'/><source bridge='vmbr0'/><target dev='vnet0'/>
      <bandwidth><inbound average='1000'/></bandwidth></interface>
    <interface type='user'><mac address='52:54:00:aa:00:02'/></interface>
    <memballoon model='virtio'/>
  </devices>
</domain>"""


def test_a_whole_definition_is_read() -> None:
    found = definition(WHOLE, shared_paths=("/fabric",))
    assert found.id == UUID
    assert (found.name, found.vcpus) == ("web-1", 2)
    assert (found.memory_bytes, found.memory_max_bytes) == (256 << 20, 512 << 20)
    assert [d.disk.target for d in found.disks] == ["vda", "vdb", "vdc", "sda"]
    assert [d.disk.shared for d in found.disks] == [False, True, True, None]
    assert [d.medium for d in found.disks] == [True, True, True, False]
    assert found.disks[1].disk.read_only
    assert [(n.mac, n.target, n.network) for n in found.nics] == [
        ("52:54:00:aa:00:01", "vnet0", "vmbr0"),
        ("52:54:00:aa:00:02", None, None),
    ]
    assert found.labels == {"tenant": "a", "sla": "gold"}
    assert (found.shares, found.balloon, found.shaped, found.move_key) == (2048, True, True, None)


def test_without_shared_folders_nobody_knows_whether_a_path_is_shared() -> None:
    assert [d.disk.shared for d in definition(WHOLE).disks] == [None, True, None, None]


@pytest.mark.parametrize("path", ["/fabric/../etc/shadow", "/fabric-of-another/a.img", "fabric/a.img", "/fabric"])
def test_a_path_beside_a_shared_folder_is_not_shared(path: str) -> None:
    xml = _domain(f"<devices><disk type='file'><source file='{path}'/><target dev='vda'/></disk></devices>")
    assert definition(xml, shared_paths=("/fabric",)).disks[0].disk.shared is not True


def test_what_changes_without_the_definition_is_put_together_with_it() -> None:
    vm = definition(WHOLE).vm(host=HostId("a"), state=PowerState.PAUSED, persistent=False, labels={"x": "y"})
    assert (vm.id, vm.host, vm.state, vm.persistent, vm.labels) == (
        UUID,
        "a",
        PowerState.PAUSED,
        False,
        {"x": "y"},
    )
    assert len(vm.disks) == 4


def _domain(inside: str, *, name: str = "x", memory: str = "<memory>1024</memory>") -> str:
    return f"<domain><name>{name}</name><uuid>{UUID}</uuid>{memory}{inside}</domain>"


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "garbage",
        "<domain>",
        "<domain/>",
        "<domainsnapshot/>",
        f"<domain><uuid>{UUID}</uuid></domain>",
        "<domain><uuid>not-one</uuid><memory>1</memory></domain>",
        _domain("", memory="<memory>-5</memory>"),
        _domain("", memory="<memory>1e9</memory>"),
        _domain("", memory="<memory>٣</memory>"),
        _domain("", memory="<memory unit='parsecs'>5</memory>"),
        _domain("", memory=f"<memory>{'9' * 5000}</memory>"),
        "<domain>\x00</domain>",
        "<domain>\ud800</domain>",
        "<a>" * 100 + "</a>" * 100,
        "<a>" + "<b/>" * 60_000 + "</a>",
        "<a>" + "x" * (5 << 20) + "</a>",
        '<!DOCTYPE d [<!ENTITY a "b">]><domain>&a;</domain>',
        '<!DOCTYPE d SYSTEM "file:///etc/passwd"><domain/>',
        '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><domain><name>&x;</name></domain>',
        "<domain>&undeclared;</domain>",
    ],
    ids=range(21),
)
def test_what_is_no_definition_is_invalid_and_nothing_worse(xml: str) -> None:
    with pytest.raises(Invalid):
        definition(xml)


def test_a_billion_laughs_are_not_laughed() -> None:
    entities = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    with pytest.raises(Invalid, match="document type"):
        parse(f'<!DOCTYPE d [<!ENTITY l0 "ha">{entities}]><domain>&l11;</domain>')


def test_what_only_looks_like_a_document_type_is_read() -> None:
    assert definition(_domain("<description><![CDATA[<!DOCTYPE x>]]></description>")).name == "x"


def test_a_name_is_one_bounded_line_without_direction_or_control_characters() -> None:
    evil = "a&#10;b&#x202E;gpj.exe\u200b" + "z" * 1000
    name = definition(_domain("", name=evil)).name
    assert name.startswith("a b gpj.exe z")
    assert len(name) <= 255


def test_a_vm_without_a_name_is_shown_by_its_id() -> None:
    assert definition(_domain("", name="&#x202E;")).name == UUID


def test_labels_are_bounded_in_number_kind_and_length() -> None:
    many = " ".join(f'k{i}="v"' for i in range(500))
    xml = _domain(
        f"<metadata><y:vm xmlns:y='https://yamori.dev/xmlns/vm/1' {many} long='{'x' * 999}' ü='1'/></metadata>"
    )
    labels = definition(xml).labels
    assert len(labels) == 64
    assert all(len(v) <= 128 and k.isascii() for k, v in labels.items())


def test_more_memory_now_than_at_most_is_the_most() -> None:
    assert definition(_domain("<currentMemory>4096</currentMemory>")).memory_bytes == 1024 * 1024


def test_the_configuration_s_labels_win_over_the_definition_s_and_later_ones_over_earlier() -> None:
    own = {"sla": "gold", "tenant": "a"}
    configured = {"web-*": {"sla": "bronze", "tier": "1"}, UUID: {"tier": "2"}, "db-*": {"sla": "gold"}}
    assert labels_for(VMId(UUID), "web-1", own, configured) == {"sla": "bronze", "tenant": "a", "tier": "2"}


@pytest.mark.parametrize(
    ("code", "reason", "wanted"),
    [
        (1, 1, PowerState.RUNNING),
        (2, 0, PowerState.RUNNING),
        (3, 1, PowerState.PAUSED),
        (4, 0, PowerState.RUNNING),
        (5, 1, PowerState.STOPPED),
        (5, 3, PowerState.CRASHED),
        (6, 0, PowerState.CRASHED),
        (7, 0, PowerState.PAUSED),
        (0, 0, PowerState.UNKNOWN),
        (99, 0, PowerState.UNKNOWN),
        (None, None, PowerState.UNKNOWN),
    ],
)
def test_a_state_that_is_not_known_is_unknown(code: int | None, reason: int | None, wanted: PowerState) -> None:
    assert state(code, reason) is wanted


def test_versions_are_spelled() -> None:
    assert version(7002022) == "7.2.22"


@pytest.mark.parametrize("text", ["", "x" * 10_000, "../../etc/passwd", "nul\x00inside"])
def test_what_is_no_uuid_is_no_id(text: str) -> None:
    assert vm_id(text) is None


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=400))
def test_any_text_is_read_or_invalid(text: str) -> None:
    for xml in (text, f"<domain>{text}</domain>", _domain(text), _domain("", name=text)):
        try:
            found = definition(xml)
        except Invalid:
            continue
        assert found.id == UUID
        assert found.name
        assert found.name.isprintable()


_TAGS = st.sampled_from(
    ["domain", "name", "uuid", "memory", "vcpu", "devices", "disk", "source", "target", "interface", "mac", "host"]
)
_ATTRIBUTES = st.dictionaries(
    st.sampled_from(["type", "device", "dev", "file", "unit", "current", "address", "socket", "model"]),
    st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="<&'\""), max_size=30),
    max_size=3,
)


def _element(tag: str, attributes: dict[str, str], parts: list[str]) -> str:
    words = "".join(f" {key}='{value}'" for key, value in attributes.items())
    return f"<{tag}{words}>{''.join(parts)}</{tag}>"


_TREES = st.recursive(
    st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="<&"), max_size=20),
    lambda inside: st.builds(_element, _TAGS, _ATTRIBUTES, st.lists(inside, max_size=5)),
    max_leaves=30,
)


@settings(max_examples=300, deadline=None)
@given(_TREES)
def test_any_tree_of_known_words_is_read_or_invalid(tree: str) -> None:
    try:
        found = definition(_domain(f"<devices>{tree}</devices>{tree}"))
    except Invalid:
        return
    assert found.vcpus >= 0
    assert 0 <= found.memory_bytes <= found.memory_max_bytes
    assert all(len(d.disk.target) <= 32 for d in found.disks)
