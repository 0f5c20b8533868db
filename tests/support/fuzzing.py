"""Properties tried for some minutes: whatever comes in, a result or an error of the project's own comes out."""

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

__all__ = ["json_values", "outcome", "spoiled", "spoiled_text", "tried"]

T = TypeVar("T")

#: Minutes for each property; without it one round of examples, the same each time.
_MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))
_EXAMPLES = 200
#: The most that one example may take, and that all of them may add to the process's memory.
_LONGEST_SECONDS = 20
_MOST_KILOBYTES = 700_000


def tried(check: Callable[[T], None], inputs: st.SearchStrategy[T]) -> None:
    """Try a property on many inputs, for as long as ``FUZZ_MINUTES`` says.

    Args:
        check: Raises where the property does not hold.
        inputs: What it is tried on.

    Raises:
        AssertionError: One input takes too long, or too much memory.
    """

    def limited(given_input: T) -> None:
        with _limit():
            check(given_input)

    before, deadline, number = _peak(), time.monotonic() + 60 * _MINUTES, 0
    while True:
        phases = (Phase.explicit, Phase.generate, Phase.shrink)
        rules = settings(max_examples=_EXAMPLES, phases=phases, database=None, suppress_health_check=list(HealthCheck))
        seed(number)(rules(given(inputs)(limited)))()
        assert _peak() - before < _MOST_KILOBYTES, f"memory grew by {_peak() - before} kB in round {number}"
        number += 1
        if time.monotonic() >= deadline:
            print(f"{number * _EXAMPLES} examples")
            return


def outcome(work: Callable[[], T], *errors: type[Exception]) -> tuple[T | None, str]:
    """Return what comes of some work: its result, or the text of one of these errors."""
    try:
        return work(), ""
    except errors as error:
        return None, f"{error}" or f"{error!r} says nothing"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def _limit() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise AssertionError(f"it takes longer than {_LONGEST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, _LONGEST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@st.composite
def spoiled(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes with some replaced, removed, doubled or put in; sometimes something else altogether."""
    made = bytearray(content)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(len(made) - 1, 0)))
        stop = at + draw(st.sampled_from([0, 1, 1, 2, 8, 64, 1000]))
        what = st.one_of(
            st.binary(max_size=8),
            st.just(bytes(made[at:stop]) * 2),
            st.sampled_from([b"", b"\0" * 8, b"\xff" * 4, b'"']),
        )
        made[at:stop] = draw(what)
    return draw(st.one_of(st.just(bytes(made)), st.just(bytes(made)), st.just(bytes(made)), st.binary(max_size=200)))


@st.composite
def spoiled_text(draw: st.DrawFn, text: str) -> str:
    """Lines of a text in which some were changed, removed, doubled or made up."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(lines) - 1))
        name, sign, _ = lines[at].partition("=")
        value = draw(st.one_of(st.text(max_size=20), st.sampled_from(_VALUES)))
        lines[at : at + 1] = draw(
            st.sampled_from([[f"{name}{sign}{value}"], [], [lines[at]] * 2, [value], [f"[{value}]"]])
        )
        lines = lines or [""]
    return "\n".join(lines)


#: What people write in place of a value.
_VALUES = (
    *("", "0", "-1", "1e400", "nan", "inf", "1,5", "true", "None", "null", "%", "%(x)s", "${HOME}", "${NO_SUCH}", "\\"),
    *("Europe/Berlin", "../../etc", "/dev/full", "http://", "http://[", "https://x:99999", "mongodb://u:p@", "2026-13"),
    *("9999-12-31T23", "2000-01-01T00", "1,2,,3", "é", "\u202e", "'", '"', "=", "1" * 400, "9" * 30),
)

json_values = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.sampled_from(_VALUES)),
        st.integers(-(10**40), 10**40),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)),
    max_leaves=8,
)
