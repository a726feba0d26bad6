"""What a client missed, or got twice, or out of order: pure functions of what was accepted and what was seen."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """What is wrong with what one client saw."""

    lost: tuple[int, ...]
    doubled: tuple[int, ...]
    reordered: tuple[int, ...]
    """Those that came after a later one."""

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.reordered)


def judge(accepted: Iterable[int], seen: Sequence[int]) -> Verdict:
    """Hold what a client saw against what was accepted; what was seen but never answered isn't held against anybody."""
    times = Counter(seen)
    lost = tuple(number for number in accepted if number not in times)
    doubled = tuple(number for number, count in times.items() if count > 1)
    latest, late = -1, []
    for number in seen:
        if number < latest and times[number] == 1:
            late.append(number)
        latest = max(latest, number)
    return Verdict(lost, doubled, tuple(late))
