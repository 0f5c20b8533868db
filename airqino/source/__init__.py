"""The AirQino API: asking it, reading its answers, and what is kept of them hour by hour."""
