"""Make text that others wrote fit to be shown: one line, printable, bounded."""


def clean(untrusted_text: object, most: int) -> str:
    """Return at most ``most`` characters; what does not print (control, direction, line ends) becomes a blank."""
    head = str(untrusted_text)[: 4 * most]
    return " ".join("".join(letter if letter.isprintable() else " " for letter in head).split())[:most]
