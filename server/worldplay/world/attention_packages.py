"""Lists the packages of attention that are installed, without importing torch or them."""

from importlib.util import find_spec

# Backends of attention that are packages of their own, and what must be importable for each.
ATTENTION_PACKAGES = {
    "_flash_3": "flash_attn_interface",
    "flash": "flash_attn",
    "flashinfer": "flashinfer",
    "sage": "sageattention",  # computes in 8 bits: taken only where it is exact enough
}


def list_attention_packages() -> list[str]:
    """List the backends of attention whose packages are installed. Nothing is imported."""
    return [name for name, package in ATTENTION_PACKAGES.items() if find_spec(package) is not None]
