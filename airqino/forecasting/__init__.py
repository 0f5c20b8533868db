"""The forecast: features, training, models, calibration, scores and contests. Pure functions, no I/O."""
