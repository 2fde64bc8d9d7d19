"""Tells a device that lacks units for 8 bits, which is no fault, from one whose units are wrong."""

import torch

from worldplay.world.tiers import find_rounding_problem

_LACKS = ("would only emulate them", "has no units for them")


def is_lack(problem: str) -> bool:
    """Return whether a problem of rounding is that the device has no units for 8 bits."""
    return problem.endswith(_LACKS)


def name_failure(device: torch.device) -> str:
    """Return under which name a row tells that 8-bit products fail: they must work if there are units."""
    return "unsupported" if is_lack(find_rounding_problem(device) or "") else "failed"
