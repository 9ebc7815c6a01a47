"""The command line, as its users meet it: mostly real child processes."""
