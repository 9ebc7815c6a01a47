"""Views whose annotations are text, decorated below the route decorator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import fastapi

from otel_tracker import Sensitive, traced

if TYPE_CHECKING:
    from collections.abc import Iterator

app = fastapi.FastAPI()


def database() -> Iterator[str]:
    """A dependency that is a generator."""
    yield "db"


@traced
def traced_database() -> Iterator[str]:
    """The same, decorated."""
    yield "traced db"


@app.get("/items/{number}")
@traced
async def item(
    number: int,
    db: Annotated[str, fastapi.Depends(database)],
    other: Annotated[str, fastapi.Depends(traced_database)],
    limit: Annotated[int, fastapi.Query(ge=1)] = 10,
    pin: Annotated[str, Sensitive] = "",
) -> dict[str, Any]:
    """An async view."""
    return {"number": number, "db": db, "other": other, "limit": limit}


@app.get("/plain")
@traced("plain view")
def plain(q: str) -> str:
    """A view that runs in a thread pool."""
    return q * 2
