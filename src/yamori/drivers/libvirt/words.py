"""Make text that others wrote fit to be shown: one line, no control characters, bounded."""

import unicodedata

_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(untrusted_text: str, most: int) -> str:
    """Return at most ``most`` characters; control, direction and unassigned characters become blanks, runs of
    blanks one."""
    head = untrusted_text[: 4 * most]
    shown = "".join(" " if unicodedata.category(letter) in _HARMFUL else letter for letter in head)
    return " ".join(shown.split())[:most]
