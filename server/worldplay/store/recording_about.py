"""The description of a recording, which lies beside its video."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

BLANK_LINK = "0" * 64  # of a link that was revoked when there was no room for another description


class Mark(BaseModel):
    """A chapter: the frame of the recording that it begins with, counted from 0, and its title."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    frame: int
    title: str


class RecordingAbout(BaseModel):
    """The description of a recording. The secret of its session is kept as a hash only."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    format: Literal[1] = 1
    key: Annotated[str, Field(max_length=64)]  # hash of the session's secret
    walk: Annotated[str, Field(max_length=64)] = ""  # the walk's own identity; "": of an earlier version
    take: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]  # names the video; each walk has another
    init_bytes: Annotated[int, Field(ge=0)]
    chapters: Annotated[tuple[Mark, ...], Field(strict=False)] = ()
    is_finished: bool = False  # nobody writes it any more
    link: Annotated[str, Field(max_length=64)] = ""  # hash of the token that opens it, too; "": none does
    num_revoked: Annotated[int, Field(ge=0)] = 0  # links that work no more

    @property
    def video(self) -> str:
        """The name of the video's file."""
        return f"{self.take}.mp4"

    def without_blank(self) -> "RecordingAbout":
        """Return this with its link revoked, if the link was blanked on a full disk."""
        if self.link != BLANK_LINK:
            return self
        return self.model_copy(update={"link": "", "num_revoked": self.num_revoked + 1})
