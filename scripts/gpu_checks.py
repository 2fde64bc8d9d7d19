"""Check in four minutes what has not run on a GPU yet: gpu_checks.py OUT.

In order of worth: the encoder, 8-bit products, the decoder's fused norm at every shape, a walk through the
real server with compiled and recorded passes, the tests that need a GPU, tiers, the first passes after a
prompt of another length, the choice of attention, the choice of a size, and YUV on the device. Processes,
time limits and results are those of gpu_bench.py.
"""

import sys

from gpu.plan import list_checks
from gpu_bench import check_plan, make_parser, run_and_report, scale_of

TIME_LIMIT_S = 240.0


def main(arguments: list[str]) -> int:
    """Carry out the plan. Returns: the exit code, 0 if nothing failed."""
    parser = make_parser(__doc__)
    parser.set_defaults(limit=TIME_LIMIT_S)
    options = check_plan(parser, parser.parse_args(arguments))
    return run_and_report(list_checks(scale_of(options)), options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
