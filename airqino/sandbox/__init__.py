"""Stand-ins that run here: the AirQino API with made-up or replayed stations and faults on demand, and a mongod."""
