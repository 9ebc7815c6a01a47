"""The lean engine, proved by what arrives at real processors and exporters and by comparison with the SDK's spans."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.helpers")  # a difference between the engines is shown field by field
