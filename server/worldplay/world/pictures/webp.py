"""Decodes WebP."""

from io import BytesIO

from PIL.WebPImagePlugin import WebPImageFile

from worldplay.world.pictures.decoded import Decoded
from worldplay.world.pictures.icc import fits


class WebpFile:
    """A WebP whose headers are read and whose pixels are still compressed."""

    def __init__(self, data: bytes) -> None:
        """Raises: whatever Pillow raises about damage."""
        self._file = WebPImageFile(BytesIO(data))
        self.size = self._file.size

    def decode(self) -> Decoded:
        """The first frame. Raises: whatever Pillow raises about damage."""
        image = self._file
        image.load()
        profile: bytes = image.info.get("icc_profile", b"")
        alpha = image.getchannel("A") if image.mode == "RGBA" else None
        return Decoded(
            image.convert("RGB"),  # a copy: the file keeps its decoder's memory
            alpha,
            profile if fits(profile, "RGB") else None,
            image.info.get("exif", b""),
        )
