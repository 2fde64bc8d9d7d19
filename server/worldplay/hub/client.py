"""The Hugging Face hub: lists and downloads a repository's files; interrupted downloads continue."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,  # httpx's or httpx2's, whichever the library came with
)
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import (
    build_hf_headers,
    filter_repo_objects,
    get_session,
    hf_raise_for_status,
    tqdm,
)

from worldplay.hub.files import HubFile, compare_content, part_of
from worldplay.hub.sources import Source

ATTEMPTS = 5  # in a row without a new byte, before a file is given up
PAUSE_S = 2.0
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class HuggingFace:
    """The real hub, or a server with the same API.

    huggingface_hub restarts a file after an interruption. So this class fetches the bytes itself, into a
    `.part` file that the next run continues.
    """

    endpoint: str | None = None  # None: as the library is configured

    def list_files(self, source: Source) -> list[HubFile]:
        """List a source's files.

        Raises: OSError saying why they cannot be listed.
        """
        with _explaining(source, f"listing {source.repository}"):
            info = HfApi(self.endpoint).model_info(source.repository, files_metadata=True, timeout=TIMEOUT_S)
            wanted = filter_repo_objects(
                info.siblings or [], allow_patterns=list(source.patterns), key=lambda file: file.rfilename
            )
            return [self._describe(source, info.sha, file) for file in wanted]

    def _describe(self, source: Source, commit: str | None, file: RepoSibling) -> HubFile:
        digest = file.lfs.sha256 if file.lfs else file.blob_id
        if file.size is None or digest is None:
            raise OSError(f"the hub gives no size or no checksum for {file.rfilename}")
        url = hf_hub_url(source.repository, file.rfilename, revision=commit, endpoint=self.endpoint)
        return HubFile(file.rfilename, url, file.size, digest)

    def check_access(self, source: Source, file: HubFile) -> None:
        """Request a file's metadata, so that a refusal is found before gigabytes are fetched.

        Raises: OSError saying why the file cannot be fetched.
        """
        with _explaining(source, f"looking up {file.name} of {source.repository}"):
            get_hf_file_metadata(file.url, timeout=TIMEOUT_S)

    def fetch(self, source: Source, file: HubFile, path: Path) -> None:
        """Fetch a file, or the rest of it, and move it into place if its checksum is right.

        Raises: OSError saying why it could not be fetched; ValueError if it arrived damaged.
        """
        part = part_of(path)
        with _explaining(source, f"fetching {file.name} of {source.repository}"):
            part.parent.mkdir(parents=True, exist_ok=True)
            _complete(file, part)
            damage = compare_content(file, part)
            if damage is None:
                part.replace(path)
                return
            part.unlink()
        raise ValueError(f"{path}, as fetched, {damage} and was deleted")


@contextmanager
def _explaining(source: Source, doing: str) -> Iterator[None]:
    """Turn the library's errors into an OSError of one sentence."""
    try:
        yield
    except GatedRepoError:
        page = f"https://huggingface.co/{source.repository}"
        raise OSError(
            f"{source.repository} is gated: accept its terms at {page} and log in with `hf auth login`, "
            "or take --layout diffusers"
        ) from None
    except (OSError, ValueError, ImportError, HTTPError) as error:  # ValueError: an answer that is not JSON
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise OSError(f"{doing} failed ({reason}); what was fetched is kept") from None


def _complete(file: HubFile, part: Path) -> None:
    """Append the missing bytes to a part, with as many requests as needed."""
    if part.is_file() and part.stat().st_size > file.size:
        part.unlink()
    with part.open("ab") as out, _progress(file, out.tell()) as bar:
        reached, failures = out.tell(), 0
        while out.tell() < file.size:
            try:
                _append(file, out, bar)
            except HTTPError as error:
                if failures + 1 == ATTEMPTS or not _is_temporary(error):
                    raise
            failures = 0 if out.tell() > reached else failures + 1
            reached = max(reached, out.tell())
            if failures == ATTEMPTS:
                raise OSError(f"the answer ends after {out.tell()} of {file.size} bytes")
            if failures:
                time.sleep(PAUSE_S)


def _append(file: HubFile, out: BinaryIO, bar: tqdm) -> None:
    """Request the rest of a file once, and append it."""
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if out.tell():
        headers["Range"] = f"bytes={out.tell()}-"
    with get_session().stream("GET", file.url, headers=headers, timeout=TIMEOUT_S) as response:
        hf_raise_for_status(response)
        if response.status_code != 206:  # the whole file
            out.truncate(0)
            out.seek(0)
            bar.reset()
        for chunk in response.iter_bytes():
            out.write(chunk)
            bar.update(len(chunk))


def _is_temporary(error: HTTPError) -> bool:
    """Return whether another request may succeed: the connection broke, or the hub is busy."""
    if not isinstance(error, HfHubHTTPError):
        return True
    return error.response.status_code == 429 or error.response.status_code >= 500


def _progress(file: HubFile, present: int) -> tqdm:
    # The library's own is not annotated.
    return tqdm(desc=file.name, total=file.size, initial=present, unit="B", unit_scale=True)  # type: ignore[no-untyped-call]
