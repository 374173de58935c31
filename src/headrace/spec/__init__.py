"""The pipeline file: its grammar, its problems and what it compiles to."""
