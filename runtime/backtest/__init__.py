"""Back-tests: a policy over recorded signals."""
