"""Fetching the official weights, which are gated: the licence must be accepted on their page first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import CheckpointError

REPOSITORY = "facebook/sam3"
FILE_NAMES = ("model.safetensors", "sam3.pt")  # in order of preference

_ASK = (
    f"ask for access on the page of {REPOSITORY} on Hugging Face, log in with `hf auth login`, "
    f"then run `segearth-ov3 checkpoint download` again"
)
_CONNECT = (
    f"check the connection and run `segearth-ov3 checkpoint download` again, or fetch {FILE_NAMES[0]} from the page of "
    f"{REPOSITORY} on Hugging Face on another machine and run `segearth-ov3 checkpoint verify PATH` on it"
)


def download_checkpoint(folder: str | Path, *, token: str | None = None) -> Path:
    """Download SAM 3's weights from Hugging Face; a download that was interrupted continues.

    Args:
        folder: Where the file goes; made if absent.
        token: Access token of a user to whom access was granted; None takes the one of `hf auth login` or of the
            environment variable HF_TOKEN.

    Returns:
        The file.

    Raises:
        CheckpointError: Access was not granted, there is no network, or the folder cannot be written. The message says
            which page to visit and which command to run next.
    """
    for name in FILE_NAMES:
        path = _fetch(name, folder, token)
        if path is not None:
            return path
    raise CheckpointError(f"{REPOSITORY} on Hugging Face holds neither of {', '.join(FILE_NAMES)}; visit its page")


def _fetch(name: str, folder: str | Path, token: str | None) -> Path | None:
    """One file of the repository, or None if it has no such file."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    # second: the base of all errors of the HTTP client in use, which differs between versions of huggingface_hub
    network_errors: tuple[type[BaseException], ...] = (OSError, HfHubHTTPError.__mro__[1])
    try:
        return Path(hf_hub_download(REPOSITORY, name, local_dir=folder, token=token))
    except LocalEntryNotFoundError as error:  # also raised where the Hub could not be asked
        raise _failure(error) from error
    except EntryNotFoundError:
        return None
    except network_errors as error:
        raise _failure(error) from error


def _failure(error: BaseException) -> CheckpointError:
    """What an exception of huggingface_hub means for the user."""
    for cause in _chain(error):
        explain = _explanation(cause)
        if explain is not None:
            return CheckpointError(explain)
    return CheckpointError(f"cannot download {REPOSITORY}: {_first_line(error)}; {_CONNECT}")


def _explanation(error: BaseException) -> str | None:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, (GatedRepoError, RepositoryNotFoundError)) or status in (401, 403):
        return f"access to {REPOSITORY} is not granted ({_first_line(error)}); {_ASK}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot write {error.filename}: {error.strerror}"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what caused it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
