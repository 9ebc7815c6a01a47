"""What a check of the doctor's has to say: a subject, a verdict and one sentence."""

from __future__ import annotations

from dataclasses import asdict, dataclass

OK = "ok"
NOTE = "note"
PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; ``verdict`` is ``ok``, ``note`` (worth knowing) or ``problem`` (telemetry suffers)."""

    subject: str
    verdict: str
    sentence: str

    def to_dict(self) -> dict[str, str]:
        """The fields by name, as ``otel-tracker doctor --json`` prints them."""
        return asdict(self)
