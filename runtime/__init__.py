"""Settings, connections, wiring and the local stack."""
