"""Download the official weights, which are gated: Meta grants access on their page on request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import CheckpointError, OptionError


class _Published(NamedTuple):
    """Place where a release is published.

    Attributes:
        repository: On Hugging Face.
        files: Names of its files, in order of preference.
    """

    repository: str
    files: tuple[str, ...]

    @property
    def ask(self) -> str:
        return (
            f"ask for access on the page of {self.repository} on Hugging Face, log in with `hf auth login`, "
            f"then run `segearth-ov3 checkpoint download` again"
        )

    @property
    def connect(self) -> str:
        return (
            f"check the connection and run `segearth-ov3 checkpoint download` again, or fetch {self.files[0]} from the "
            f"page of {self.repository} on Hugging Face on another machine and run `segearth-ov3 checkpoint verify "
            f"PATH` on it"
        )


_PUBLISHED = {
    "3": _Published("facebook/sam3", ("model.safetensors", "sam3.pt")),
    "3.1": _Published("facebook/sam3.1", ("sam3.1_multiplex.pt",)),
}


def download_checkpoint(folder: str | Path, *, release: str = "3", token: str | None = None) -> Path:
    """Download SAM 3's weights from Hugging Face; an interrupted download continues.

    Args:
        folder: Where the file goes; created if absent.
        release: "3" or "3.1".
        token: Access token of a user to whom access was granted; None takes the one of `hf auth login` or of the
            environment variable HF_TOKEN.

    Returns:
        The file.

    Raises:
        OptionError: Another release.
        CheckpointError: Access was not granted, there is no network, or the folder cannot be written. The message says
            which page to visit and which command to run next.
    """
    published = _PUBLISHED.get(release)
    if published is None:
        raise OptionError(f"expected release {' or '.join(_PUBLISHED)}, got {release!r}")
    for name in published.files:
        path = _fetch(published, name, folder, token)
        if path is not None:
            return path
    listed = ", ".join(published.files)
    raise CheckpointError(f"{published.repository} on Hugging Face holds none of {listed}; visit its page")


def _fetch(published: _Published, name: str, folder: str | Path, token: str | None) -> Path | None:
    """Fetch a file of a repository; None if it has no such file."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    # second: the base of all errors of the HTTP client in use, which differs between versions of huggingface_hub
    network_errors: tuple[type[BaseException], ...] = (OSError, HfHubHTTPError.__mro__[1])
    try:
        return Path(hf_hub_download(published.repository, name, local_dir=folder, token=token))
    except LocalEntryNotFoundError as error:  # also raised where the Hub could not be asked
        raise _failure(published, error) from error
    except EntryNotFoundError:
        return None
    except network_errors as error:
        raise _failure(published, error) from error


def _failure(published: _Published, error: BaseException) -> CheckpointError:
    """Say what an exception of huggingface_hub means for the user."""
    for cause in _chain(error):
        explanation = _explanation(published, cause)
        if explanation is not None:
            return CheckpointError(explanation)
    return CheckpointError(f"cannot download {published.repository}: {_first_line(error)}; {published.connect}")


def _explanation(published: _Published, error: BaseException) -> str | None:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, (GatedRepoError, RepositoryNotFoundError)) or status in (401, 403):
        return f"access to {published.repository} is not granted ({_first_line(error)}); {published.ask}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot write {error.filename}: {error.strerror}"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and what caused it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
