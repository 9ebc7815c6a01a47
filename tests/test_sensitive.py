"""Which parameters and fields are marked `Sensitive`, in every way that Python lets one write it."""

from __future__ import annotations

import functools
from typing import Annotated, Optional, Union

from odd_values import (
    Account,
    Hostile,
)

from otel_tracker.capture import Sensitive, sensitive_parameters

MODULE = Account.__module__


def marked(
    plain: str,
    direct: Annotated[str, Sensitive],
    text: "Annotated[str, Sensitive]" = "",  # noqa: UP037
    optional: Optional[Annotated[str, Sensitive()]] = None,  # noqa: UP045
    union: Union[int, Annotated[str, "other", Sensitive], None] = None,  # noqa: UP007
    unknown: "Nowhere[Sensitive]" = "",  # noqa: UP037, F821
    other: "Nowhere[int]" = 0,  # noqa: UP037, F821
) -> None: ...


class Service:
    def __init__(self, key: Annotated[str, Sensitive]) -> None: ...
    def __call__(self, other: Annotated[str, Sensitive]) -> None: ...
    def method(self, word: Annotated[str, Sensitive]) -> None: ...


def test_marked_parameters_are_found_also_in_text_annotations():
    """Annotations of this file are text; a name that cannot be resolved is searched for the word."""
    expected = {"direct", "text", "optional", "union", "unknown"}
    assert sensitive_parameters(marked) == expected
    assert sensitive_parameters(functools.partial(marked, "x")) == expected
    assert sensitive_parameters(functools.wraps(marked)(lambda *args: None)) == expected


def test_marked_parameters_are_found_on_any_callable():
    """Classes by their constructor and fields, objects by their call, methods by their function."""
    assert sensitive_parameters(Service) == {"key"}
    assert sensitive_parameters(Service("x")) == {"other"}
    assert sensitive_parameters(Service("x").method) == {"word"}
    assert sensitive_parameters(Account) == {"mother"}
    assert sensitive_parameters(len) == frozenset()
    assert sensitive_parameters(Hostile()) == frozenset()
