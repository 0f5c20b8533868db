"""Where data rests: Parquet files, MongoDB, the model registry. No store knows a rule of the pipeline."""
