"""Pure functions on pandas and NumPy: quality, means, features, model, skill. No I/O."""
