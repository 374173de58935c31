"""The command line: one module per verb, words on stderr, data on stdout."""
