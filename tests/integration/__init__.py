"""The package in its real surroundings: launchers, frameworks, other packages."""
