"""A round: one question to Redis about the histories that several subscribers need, and what of the answer is whose."""

from collections.abc import Sequence

from tailrace.events import ChannelHistory, Wanted

_MOST_OF_ONE, _MOST_OF_ALL = 128, 400
"""Entries of a channel, and about of all that one subscriber asks for: a history as it is by default fits."""


class Question:
    """What one subscriber needs: what its channels' histories hold after its position."""

    __slots__ = ("after", "alone", "channels")

    def __init__(self, after: int, channels: Sequence[str]) -> None:
        self.after, self.channels = after, channels
        self.alone = False
        """What was read from an older position didn't reach it."""


class Round:
    """Asks for each channel once, from the oldest position on, and anew for those whom such an answer didn't reach."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._oldest: dict[str, int] = {}
        for question in questions:
            if not question.alone:
                for channel in question.channels:
                    self._oldest[channel] = min(question.after, self._oldest.get(channel, question.after))
        wanted: dict[tuple[str, int], Wanted] = {}
        for question in questions:
            most = max(2, min(_MOST_OF_ONE, _MOST_OF_ALL // len(question.channels)))
            for channel in question.channels:
                after = self._start(question, channel)
                wanted.setdefault((channel, after), Wanted(channel, after, most))
        self.wanted = [*wanted.values()]
        self.must = len(questions[0].channels)
        """How many of them have to be answered, so that it goes on: the first question's."""
        self._found: dict[tuple[str, int], ChannelHistory | None] = {}

    def _start(self, question: Question, channel: str) -> int:
        return question.after if question.alone else self._oldest[channel]

    def take(self, histories: Sequence[ChannelHistory | None]) -> None:
        """Take what Redis answered."""
        self._found = {(channel, after): history for (channel, after, _), history in zip(self.wanted, histories, strict=True)}

    def share(self, question: Question) -> dict[str, ChannelHistory] | None:
        """Return what was found for a question, or None where it has to be asked again."""
        histories = {}
        for channel in question.channels:
            start = self._start(question, channel)
            history = self._found[channel, start]
            if history and start != question.after:
                history = history.since(question.after)
                question.alone = history is None
            if history is None:
                return None
            histories[channel] = history
        return histories
