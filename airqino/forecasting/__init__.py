"""Pure functions on pandas and NumPy: features, training, forecasts, their bands and their scores. No I/O."""
