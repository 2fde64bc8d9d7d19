"""What the ranks exchange while they compute: Ulysses for tokens and heads, rows for the decoder."""

from itertools import pairwise

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from worldplay.model.heads import VALUE, Heads
from worldplay.model.kv_cache import TextKV
from worldplay.model.ranks import Ranks
from worldplay.ranks.waiting import Waiting


class Exchange(Ranks):
    """One of several ranks, in torch.distributed's default group.

    Tokens and heads that do not divide by the ranks are filled up with zeros, so that all parts are equal.
    Keys, queries and values are exchanged before positions are applied: half of what both branches would be.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank = rank
        self.size = size
        self.waiting = Waiting()  # of rank 0 for the others

    def count_heads(self, num_heads: int) -> int:
        return -(-num_heads // self.size)

    def own_tokens(self, x: Tensor) -> Tensor:
        return _fill(x, 2, self.size).chunk(self.size, dim=2)[self.rank].contiguous()

    def all_tokens(self, x: Tensor, num_tokens: int) -> Tensor:
        parts = x.new_empty(self.size * x.shape[0], *x.shape[1:])
        with self.waiting.during():
            dist.all_gather(list(parts.chunk(self.size)), x.contiguous())
        by_rank = parts.unflatten(0, (self.size, -1))
        tokens: Tensor = by_rank.permute(1, 2, 0, 3, 4).flatten(2, 3)[:, :, :num_tokens]
        return tokens

    def own_heads(self, own: Heads) -> Heads:
        heads, width = self.count_heads(own.num_heads), own.raw.shape[-1]
        latents, tokens = own.positions.num_latents, own.raw.shape[1] // own.num_heads
        parts = own.raw.new_empty(self.size * heads, latents, tokens, 3, width)
        if len(parts) > own.num_heads:
            parts[own.num_heads :] = 0
        filled = parts[: own.num_heads].permute(1, 2, 0, 3, 4)
        filled[..., :VALUE, :] = own.normal.unflatten(1, (tokens, own.num_heads))[..., :VALUE, :]
        filled[..., VALUE, :] = own.raw.unflatten(1, (tokens, own.num_heads))[..., VALUE, :]
        by_rank = self._swap(parts).unflatten(0, (self.size, heads))
        got = by_rank.permute(2, 0, 3, 1, 4, 5).reshape(latents, -1, 3, width)
        got = got[:, : own.positions.tokens_per_latent * heads]
        return Heads(got, got, own.norms, heads, own.positions, own.normed, own.rotate)

    def own_attended(self, attended: Tensor, num_latents: int, num_heads: int) -> Tensor:
        filled = _fill(attended[0].unflatten(1, (num_latents, -1)), 2, self.size)  # [2n, T, S, d]
        parts = filled.unflatten(2, (self.size, -1)).permute(2, 1, 3, 0, 4)  # [ranks, T, S', 2n, d]
        got = self._swap(parts.contiguous()).permute(1, 2, 0, 3, 4)
        heads = got.flatten(2, 3).flatten(0, 1)[:, : 2 * num_heads]
        return heads.transpose(0, 1)[None]

    def take_text(self, text: TextKV, keys_values: Tensor) -> None:
        """Append this rank's heads of a block's keys and values, [2, B, n, L, d], to a text."""
        own = _fill(keys_values, 2, self.size).chunk(self.size, dim=2)[self.rank].clone()
        text.keys.append(own[0])
        text.values.append(own[1])

    def has_rows(self, height: int) -> bool:
        return height >= self.size

    def own_rows(self, x: Tensor) -> Tensor:
        rows = split_rows(x.shape[3], self.size)
        start = sum(rows[: self.rank])
        return x[..., start : start + rows[self.rank], :]

    def exchange_edges(self, surrounded: Tensor) -> None:
        edges = {}  # the rank beside this one: the row that it gets, and the row that is filled with its own
        if self.rank > 0:
            edges[self.rank - 1] = surrounded[..., 1, :], surrounded[..., 0, :]
        if self.rank + 1 < self.size:
            edges[self.rank + 1] = surrounded[..., -2, :], surrounded[..., -1, :]
        sent = torch.cat([row.movedim(1, -1).flatten() for row, _ in edges.values()])
        sizes = [0] * self.size
        for rank in edges:
            sizes[rank] = sent.numel() // len(edges)
        got = torch.empty_like(sent)
        with self.waiting.during():
            dist.all_to_all_single(got, sent, sizes, sizes)
        for (_, filled), row in zip(edges.values(), got.chunk(len(edges)), strict=True):
            channels_last = filled.movedim(1, -1)
            channels_last.copy_(row.view(channels_last.shape))

    def all_rows(self, x: Tensor, height: int) -> Tensor:
        rows = split_rows(height, self.size)
        scale = x.shape[3] // rows[self.rank]
        one = x[..., :1, :].numel() * scale  # numbers for each row of the latent
        sent = x.movedim(3, 0).flatten()
        got = x.new_empty(sum(rows) * one if self.rank == 0 else 0)
        received = [count * one if self.rank == 0 else 0 for count in rows]
        with self.waiting.during():
            dist.all_to_all_single(got, sent, received, [sent.numel()] + [0] * (self.size - 1))
        if self.rank > 0:
            return x
        return got.view(-1, *x.shape[:3], x.shape[4]).movedim(0, 3)

    def _swap(self, parts: Tensor) -> Tensor:
        """Send the i-th part of [ranks * n, ...] to rank i. Returns: what all ranks sent, in their order."""
        got = torch.empty_like(parts)
        with self.waiting.during():
            dist.all_to_all_single(got, parts)
        return got


def _fill(x: Tensor, dim: int, size: int) -> Tensor:
    """Append zeros, so that a dimension divides by the number of ranks."""
    missing = -x.shape[dim] % size
    if missing == 0:
        return x  # F.pad would copy it
    filled: Tensor = F.pad(x, (0, 0) * (x.dim() - dim - 1) + (0, missing))
    return filled


def split_rows(height: int, num_ranks: int) -> list[int]:
    """Give every rank its number of rows; they differ by at most one."""
    ends = [height * rank // num_ranks for rank in range(num_ranks + 1)]
    return [end - start for start, end in pairwise(ends)]
