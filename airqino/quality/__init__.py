"""Pure functions on pandas and NumPy: quality flags and daily means. No I/O."""
