"""Measure how a chunk of the released model scales with the number of GPUs: gpu_scaling.py OUT.

It takes 1, 2, 4 and 8 GPUs, as many as there are, at each published size, with random weights. It measures a
context pass, a denoising step, a latent decoded by rows, what of them is exchange, the decoder on rank 0
alone, and a chunk as the server makes it: a single GPU then compiles, fuses and records, which several do
not yet. In the end it says how much faster several are than what one really serves. Processes, time limits
and results are those of gpu_bench.py. With --device cpu ranks are processes.
"""

import sys

from gpu.plan import list_scaling_steps
from gpu.scaling import list_speed_ups
from gpu_bench import check_plan, make_parser, run_and_report, scale_of


def main(arguments: list[str]) -> int:
    """Carry out the plan. Returns: the exit code, 0 if nothing failed."""
    parser = make_parser(__doc__)
    options = check_plan(parser, parser.parse_args(arguments))
    return run_and_report(list_scaling_steps(scale_of(options)), options, list_speed_ups)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
