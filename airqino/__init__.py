"""The AirQino library: read stations' answers, check readings, average them, forecast them, and store them.

It knows no Luigi and no settings file, and importing a part of it loads only what that part uses.
"""
