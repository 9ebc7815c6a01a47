"""`python -m otel_tracker`: the command line, where the console script is not on the PATH."""

from otel_tracker.cli import main

if __name__ == "__main__":
    main()
