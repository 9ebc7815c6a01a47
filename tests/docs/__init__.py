"""The documentation is true: its blocks run, its tables are the code's, its links lead somewhere."""
