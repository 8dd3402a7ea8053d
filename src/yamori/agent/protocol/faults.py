"""Errors of the model as words on the wire, and back."""

from collections.abc import Iterator, Mapping

from yamori.agent.protocol.messages import FaultWords, Refusal, cut
from yamori.model.errors import Defect, Failed, Refused, Unsupported, Untrusted, YamoriError


def words(error: YamoriError) -> FaultWords:
    """Put an error into words; a defect keeps its text to itself."""
    if isinstance(error, Defect):
        return FaultWords(code=Defect.code, message="a defect of the agent: see its log on the host")
    return FaultWords(
        code=cut(error.code, 64),
        message=cut(error.message),
        subject=None if error.subject is None else cut(error.subject),
        mend=None if error.mend is None else cut(error.mend),
    )


def refusal(error: YamoriError) -> Refusal:
    """Put an error into the last word before hanging up."""
    told = words(error)
    return Refusal(code=told.code, message=told.message, mend=told.mend)


def rebuilt(untrusted_words: FaultWords | Refusal) -> YamoriError:
    """Make the error that words are of. A code that is not known here, or is a defect there, is a Failed here."""
    kind = _KINDS.get(untrusted_words.code, Failed)
    subject = untrusted_words.subject if isinstance(untrusted_words, FaultWords) else None
    if issubclass(kind, Unsupported):
        capability, _, why = untrusted_words.message.partition(": ")
        return kind(capability, why, subject=subject, mend=untrusted_words.mend)
    return kind(untrusted_words.message, subject=subject, mend=untrusted_words.mend)


def _tree(kind: type[YamoriError]) -> Iterator[type[YamoriError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == YamoriError.__module__:
            yield from _tree(below)


_KINDS: Mapping[str, type[YamoriError]] = {
    kind.code: kind for top in (Refused, Failed, Untrusted) for kind in _tree(top)
}
