"""Pure rules of incident communication: no I/O, no clock, no randomness."""
