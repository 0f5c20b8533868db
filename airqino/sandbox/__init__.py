"""A stand-in for the AirQino API, and a mongod of one's own, for the demo and the tests."""
