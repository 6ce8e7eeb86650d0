"""The file members.json of the run directory: the newest decision about which workers train together."""

from __future__ import annotations

from typing import Any, Final

from trainer.peers.rendezvous import Decision
from trainer.runtime.serialize import to_json
from trainer.storage import files, records

NAME: Final = "members.json"
_SHAPE: Final[records.Shape] = {"leader": int, "lease": str, "workers": {}}


def read(path: str) -> Decision | None:
    """Return the decision in the file at `path`; None if there is none."""
    found = records.read(path, _SHAPE)
    return None if found is None else _decision(found)


def _decision(found: dict[str, Any]) -> Decision | None:
    try:
        workers = {int(number): str(token) for number, token in found["workers"].items()}
        expected = frozenset(int(number) for number in found.get("expected") or ())
        decision = Decision(leader=found["leader"], lease=found["lease"], workers=workers, expected=expected)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return decision if decision.leader in workers else None


def write(path: str, decision: Decision) -> None:
    """Replace the file at `path` with `decision`."""
    files.write_text(
        path,
        to_json(
            {
                "leader": decision.leader,
                "lease": decision.lease,
                "workers": {str(number): token for number, token in sorted(decision.workers.items())},
                "expected": sorted(decision.expected),
            }
        ),
    )
