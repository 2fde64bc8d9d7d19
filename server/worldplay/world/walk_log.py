"""What a walk was made of: the moves of every latch, and the prompts, each from a latent on."""

from collections.abc import Callable
from itertools import pairwise

from worldplay.world.snapshot import LoggedLatch, PromptChange, before
from worldplay.world.steering import Move

_COMPARED = 8  # newest prompts whose looks are compared: who opens a walk reads no more of them


class WalkLog:
    """The controls and prompts of one walk, as far as they still have a part in it."""

    def __init__(self, look_of: Callable[[str], str] = str) -> None:
        """`look_of` names what a prompt looks like; between prompts of one look the light stays."""
        self.latches: tuple[LoggedLatch, ...] = ()
        self.prompts: tuple[PromptChange, ...] = ()
        self._look_of = look_of
        self._looks: dict[str, str] = {}  # of prompts; found where they change, and read by any thread

    @property
    def prompt(self) -> str:
        """Return the newest prompt."""
        return self.prompts[-1].text if self.prompts else ""

    @property
    def light_changes(self) -> list[int]:
        """List the latents at which another light begins than the one before. Any thread.

        Of prompts that are not among the newest, each is taken for another light.
        """
        known = len(self.prompts) - _COMPARED
        looks = [
            self._looks[change.text] if index >= known else change.text
            for index, change in enumerate(self.prompts)
        ]
        return [
            change.latent
            for (old, new), change in zip(pairwise(looks), self.prompts[1:], strict=True)
            if new != old
        ]

    @property
    def light_since(self) -> int:
        """Return the latent from which on the present light holds."""
        return max(self.light_changes, default=0)

    def restore(self, latches: tuple[LoggedLatch, ...], prompts: tuple[PromptChange, ...]) -> None:
        """Take over another walk's."""
        self.latches = latches
        self._set_prompts(prompts)

    def latch(self, latent: int, moves: list[Move]) -> None:
        """Note the moves that were read for the latents from one on. They replace all later ones."""
        self.latches = (*before(self.latches, latent), LoggedLatch(latent, tuple(moves)))

    def change_prompt(self, latent: int, text: str) -> None:
        """Note the prompt of the latents from one on."""
        kept = before(self.prompts, latent)
        if not kept or kept[-1].text != text:
            kept = (*kept, PromptChange(latent, text))
        self._set_prompts(kept)

    def _set_prompts(self, prompts: tuple[PromptChange, ...]) -> None:
        for change in prompts[-_COMPARED:]:
            if change.text not in self._looks:
                self._looks[change.text] = self._look_of(change.text)
        self.prompts = prompts

    def rewind(self, latent: int) -> None:
        """Forget what came later. The newest prompt stays in force."""
        self.latches = before(self.latches, latent)
        self.change_prompt(latent, self.prompt)
