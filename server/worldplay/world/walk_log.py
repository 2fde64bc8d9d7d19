"""What a walk was made of: the moves of every latch, and the prompts, each from a latent on."""

from worldplay.world.snapshot import LoggedLatch, PromptChange, before
from worldplay.world.steering import Move


class WalkLog:
    """The controls and prompts of one walk, as far as they still have a part in it."""

    def __init__(self) -> None:
        self.latches: tuple[LoggedLatch, ...] = ()
        self.prompts: tuple[PromptChange, ...] = ()

    @property
    def prompt(self) -> str:
        """Return the newest prompt."""
        return self.prompts[-1].text if self.prompts else ""

    @property
    def prompt_since(self) -> int:
        """Return the latent from which on the newest prompt holds."""
        return self.prompts[-1].latent if self.prompts else 0

    def changes_at(self, latent: int) -> bool:
        """Return whether another prompt holds from this latent on than before it."""
        return latent > 0 and any(change.latent == latent for change in self.prompts)

    def latch(self, latent: int, moves: list[Move]) -> None:
        """Note the moves that were read for the latents from one on. They replace all later ones."""
        self.latches = (*before(self.latches, latent), LoggedLatch(latent, tuple(moves)))

    def change_prompt(self, latent: int, text: str) -> None:
        """Note the prompt of the latents from one on."""
        kept = before(self.prompts, latent)
        if not kept or kept[-1].text != text:
            kept = (*kept, PromptChange(latent, text))
        self.prompts = kept

    def rewind(self, latent: int) -> None:
        """Forget what came later. The newest prompt stays in force."""
        self.latches = before(self.latches, latent)
        self.change_prompt(latent, self.prompt)
