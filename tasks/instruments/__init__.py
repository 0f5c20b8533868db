"""What watches the pipeline: alerts and metrics. The stage tasks do not know it; it listens to their Luigi events."""
