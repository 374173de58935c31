"""What headrace decides, without doing it: no I/O, no clock, no threads."""
