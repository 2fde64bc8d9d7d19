"""The description of a walk in the store."""

from hashlib import sha256
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_NAME_CHARS = 200

State = Literal["walking", "waiting", "left"]


class About(BaseModel):
    """The description of a walk in the store. Secrets are kept as hashes only."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    format: Literal[1] = 1
    kind: Literal["live", "kept"]  # a session's walk, or a snapshot that somebody keeps
    key: Annotated[str, Field(max_length=64)]  # hash of the secret that its owner has
    address: Annotated[str, Field(max_length=64)] = ""  # hash of its owner's address
    # Of a session's walk: whether it has a slot, waits for one, or was left by its client.
    state: State = "walking"
    name: Annotated[str, Field(max_length=MAX_NAME_CHARS)] = ""
    chunks: int = 0
    created_s: float = 0.0


def hash_key(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def hash_address(address: str) -> str:
    """Return what the store holds instead of an address; empty if that is not known."""
    return hash_key(address) if address else ""
