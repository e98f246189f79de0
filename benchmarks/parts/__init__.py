"""What benchmarks are made of: data, baselines, and programs of their own processes."""
