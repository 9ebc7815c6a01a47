"""The code of functions that are made at run time, because general ones would cost more than what they do.

Sources are made of numbers only; what belongs to the program reaches such a function as a global name or a constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import CodeType


@lru_cache(maxsize=256)
def function_code(source: str) -> CodeType:
    """The code of the one function that this source defines."""
    module = compile(source, "<otel_tracker capture>", "exec")
    return next(constant for constant in module.co_consts if type(constant) is CodeType)


def with_texts(code: CodeType, texts: Mapping[str, str]) -> CodeType:
    """The code with texts of the program in the places of those constants that are their names in the source."""
    return code.replace(co_consts=tuple(texts.get(_as_name(one), one) for one in code.co_consts))


def _as_name(constant: object) -> str:
    return constant if type(constant) is str else ""
