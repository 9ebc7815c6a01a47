"""What a server did with an event, in a sentence for a person, with the way out: for the log and for the doctor."""

from __future__ import annotations

from otel_tracker_exporters.umami.dialect import Fate, Verdict
from otel_tracker_exporters.umami.options import POSTHOG, Options

_DROPPED = {
    "bot": (
        "{place} takes us for a bot and drops what it is sent (its filter looks at the User-Agent, {user_agent!r}). "
        "Unset OTEL_TRACKER_UMAMI_USER_AGENT, or set DISABLE_BOT_CHECK=1 on the server."
    ),
    "website": (
        "{place} knows no website {website_id}. Copy the id from the website's settings in Umami to "
        "OTEL_TRACKER_UMAMI_WEBSITE_ID."
    ),
    "forbidden": (
        "{place} does not let us in ({detail}). Take this computer's address out of IGNORE_IP on the server, see that "
        "no proxy in front asks for a login, and set OTEL_TRACKER_UMAMI_API_KEY where it wants a key."
    ),
    "endpoint": (
        "{place} does not answer as an analytics server does ({detail}). Set OTEL_TRACKER_UMAMI_ENDPOINT to the "
        "server's own url, such as https://umami.example.com."
    ),
    "rejected": "{place} rejected an event ({detail}). Please report it.",
    "server_error": (
        "{place} failed over an event ({detail}). It is not sent again, because it may be stored already; see the "
        "server's log."
    ),
    "too_large": (
        "{place} finds a single event too large ({detail}). Send fewer attributes with OTEL_TRACKER_UMAMI_ATTRIBUTES."
    ),
}
_OTHER = {
    (Fate.AGAIN, "unreachable"): "{place} cannot be reached ({detail}). See that it runs and that the url is right.",
    (Fate.AGAIN, "busy"): "{place} does not take events now ({detail}).",
    (Fate.AGAIN, "database"): "{place} cannot reach its database ({detail}). See that the database runs.",
    (Fate.UNKNOWN, "no_answer"): (
        "{place} was sent events and gave no answer that tells what became of them ({detail}). See whether the server "
        "is overloaded."
    ),
}
_NOT_SENT_AGAIN = (
    " They count as unknown and are not sent again; OTEL_TRACKER_UMAMI_AT_LEAST_ONCE=true sends them again, at the "
    "risk of duplicates."
)
_SENT_AGAIN = " They are sent again."
_WAIT = " Events wait in memory and in the journal, and are sent as soon as that is possible."


def place_of(options: Options) -> str:
    """The server in words, without secrets."""
    kind = "PostHog" if options.dialect == POSTHOG else "Umami"
    return f"{kind} at {options.shown_url}"


def sentence_of(verdict: Verdict, options: Options) -> str:
    """What the verdict means and what to do, without what becomes of the events meanwhile; empty for a stored event."""
    found = _DROPPED.get(verdict.reason) if verdict.fate is Fate.DROPPED else _OTHER.get((verdict.fate, verdict.reason))
    return (found or "").format(
        place=place_of(options),
        website_id=options.website_id if options.dialect != POSTHOG else "of this key",
        user_agent=options.user_agent,
        detail=verdict.detail or "it gave no reason",
    )


def log_sentence_of(verdict: Verdict, options: Options, *, may_repeat: bool) -> str:
    """The same for the log of a program that goes on."""
    sentence = sentence_of(verdict, options)
    if verdict.fate is Fate.AGAIN:
        return sentence + _WAIT
    if verdict.fate is Fate.UNKNOWN:
        return sentence + (_SENT_AGAIN if may_repeat else _NOT_SENT_AGAIN)
    if verdict.is_lasting:
        return f"{sentence} Until then events are dropped and counted."
    return f"{sentence} Such events are dropped and counted."
