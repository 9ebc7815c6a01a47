"""What a refusal of Firestore's means for the documents of a request, and the sentence with the way out.

The codes are gRPC's: https://grpc.github.io/grpc/core/md_doc_statuscodes.html
"""

from __future__ import annotations

import enum
from typing import Any

from otel_tracker_exporters.firestore.options import Options

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED = range(8)
RESOURCE_EXHAUSTED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = range(8, 15)
UNAUTHENTICATED = 16

_PASSING = {CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE}
_OF_DOCUMENTS = {INVALID_ARGUMENT, OUT_OF_RANGE}
_LARGER = "larger than max"
MISCONFIGURED_S = 30.0
"""How long a project that refuses everything is left alone."""


class Fate(enum.Enum):
    """What is to be done with documents that were not stored."""

    AGAIN = "again"
    """Send them once more."""
    APART = "apart"
    """One of them is at fault; find out which."""
    NEVER = "never"
    """Firestore takes no such document."""


def code_of(error: BaseException) -> int:
    """The gRPC code of what a request raised, `UNKNOWN` where it has none."""
    code = getattr(error, "grpc_status_code", None)
    value = getattr(code, "value", (UNKNOWN,))
    return int(value[0]) if isinstance(value, tuple) else UNKNOWN


def fate_of_request(error: BaseException) -> Fate:
    """What is to be done with all documents of a request that was refused as a whole."""
    code = code_of(error)
    if code in _OF_DOCUMENTS or (code == RESOURCE_EXHAUSTED and _LARGER in str(error)):
        return Fate.APART
    return Fate.AGAIN


def fate_of_document(status: Any) -> Fate:
    """What is to be done with one document that was refused."""
    return Fate.AGAIN if status.code in _PASSING else Fate.NEVER


def rest_after_s(error: BaseException) -> float:
    """How long the server is left alone: longer where somebody has to mend something first."""
    return 0.0 if code_of(error) in _PASSING and not _has_no_credentials(error) else MISCONFIGURED_S


def sentence_of(error: BaseException, options: Options) -> str:
    """Why nothing can be written or read, and what to do."""
    return f"{options.location} does not answer as it should: {reason_of(error)}. {_way_out(error, options)}"


def reason_of(error: BaseException) -> str:
    """The reason in a line."""
    text = " ".join(str(getattr(error, "message", "") or error).split())[:300]
    return text.rstrip(".") or type(error).__name__


def _way_out(error: BaseException, options: Options) -> str:
    if _has_no_credentials(error):
        return (
            "Give credentials (gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS), or name an "
            "emulator in FIRESTORE_EMULATOR_HOST."
        )
    code = code_of(error)
    if code == PERMISSION_DENIED:
        return "Give its account the role roles/datastore.user, and see that the Firestore API is enabled."
    if code == NOT_FOUND:
        return "See that OTEL_TRACKER_FIRESTORE_PROJECT and _DATABASE name a database in Native mode."
    if code == FAILED_PRECONDITION:
        return "If it asks for an index: otel-tracker firestore indexes, then firebase deploy --only firestore:indexes."
    if code == RESOURCE_EXHAUSTED:
        return "A quota is used up; lower OTEL_TRACKER_FIRESTORE_MAX_WRITES_PER_S, or sample (OTEL_TRACES_SAMPLER)."
    if "roject" in str(error) and options.project is None:
        return "Set OTEL_TRACKER_FIRESTORE_PROJECT to the id of the project."
    return "See that it can be reached; otel-tracker doctor firestore tries it out."


def _has_no_credentials(error: BaseException) -> bool:
    return type(error).__module__.startswith("google.auth") or code_of(error) == UNAUTHENTICATED
