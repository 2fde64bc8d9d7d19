"""The measurements of scripts/gpu_bench.py, one file per question."""
