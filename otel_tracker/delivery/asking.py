"""Those who wait until everything that was put in before they asked has found its end."""

from __future__ import annotations


class Ask:
    """One who waits; ``answer`` is None until it is known whether all went well."""

    __slots__ = ("answer", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.answer: bool | None = None


class Asks:
    """All who wait for one lane; used under its lock.

    Each waits for a number of items, those that were there when it asked: a program that goes on putting in would
    otherwise keep it waiting for ever.
    """

    def __init__(self) -> None:
        self._waiting: list[Ask] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, number: int) -> Ask:
        """Wait until so many items are settled."""
        ask = Ask(number)
        self._waiting.append(ask)
        return ask

    def settled(self, number: int) -> bool:
        """So many items are; whether that was an answer to anybody."""
        answered = [ask for ask in self._waiting if ask.number <= number]
        for ask in answered:
            ask.answer = True
        self._waiting = [ask for ask in self._waiting if ask.answer is None]
        return bool(answered)

    def answer(self, is_done: bool) -> None:
        """Nothing is left to do, or nothing can be done now."""
        for ask in self._waiting:
            ask.answer = is_done
        self._waiting = []
