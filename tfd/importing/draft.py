"""The job file that is written, with a TODO at each value that the manifest does not contain."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tfd.jobfile.helm_yaml import Key

TODO = "TODO: "


@dataclass(frozen=True)
class Question:
    """A value that only the user can give, and the key that waits for it."""

    key: Key
    text: str


@dataclass
class Draft:
    """The values of the job file, the questions that are open, and the comments above keys."""

    values: dict[str, Any] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    comments: dict[Key, list[str]] = field(default_factory=lambda: defaultdict(list))

    def set(self, *key: str | int, value: Any) -> None:  # noqa: ANN401 - any value of a job file
        """Set a key; the blocks around it are created."""
        block: Any = self.values
        for name in key[:-1]:
            block = block[name] if isinstance(name, int) else block.setdefault(name, {})
        block[key[-1]] = value

    def get(self, *key: str | int) -> Any:  # noqa: ANN401 - any value of a job file
        """Return the value of a key; None if it is not set."""
        found: Any = self.values
        for name in key:
            if isinstance(found, list) and isinstance(name, int) and name < len(found):
                found = found[name]
            else:
                found = found.get(name) if isinstance(found, dict) else None
        return found

    def append(self, key: str, item: dict[str, Any]) -> Key:
        """Append an item to a list at the top, and return the key of the item."""
        items = self.values.setdefault(key, [])
        items.append(item)
        return (key, len(items) - 1)

    def is_open(self, key: Key) -> bool:
        """Return whether a key, or a block around it, waits for an answer."""
        return any(key[: len(each.key)] == each.key for each in self.questions)

    def ask(self, *key: str | int, question: str, hints: tuple[str, ...] = ()) -> None:
        """Set a key to a question, which the schema refuses, with hints in a comment above it."""
        if self.is_open(key):
            return
        self.questions.append(Question(key, question))
        self.set(*key, value=f"{TODO}{question}")
        self.comments[key] += hints or ("Replace this value by the answer.",)
