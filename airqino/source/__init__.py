"""The source: the AirQino API as it really answers, a client for it, and a sandbox that speaks like it."""
