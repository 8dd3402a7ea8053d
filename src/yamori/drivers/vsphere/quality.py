"""What this driver answers to the rules of quality. Where nothing is said, it is still to do."""

from collections.abc import Mapping

from yamori.manifest.quality import Answers, Todo

QUALITY: Mapping[str, Answers] = {
    "VMware vCenter Server": {
        "real-hypervisor": Todo(lacks="proven against a simulator of the interface, which enforces nothing"),
        "proven-by-effect": Todo(lacks="proven against a simulator of the interface, which enforces nothing"),
    }
}
