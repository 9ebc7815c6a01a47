"""The package in its real surroundings: launchers, frameworks, servers, other packages."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.matrix", f"{__name__}.servers")
