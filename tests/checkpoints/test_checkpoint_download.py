"""What `download_checkpoint` asks huggingface_hub for, and what it makes of the answers; no network is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from segearth_ov3.checkpoints import download_checkpoint
from segearth_ov3.errors import CheckpointError, OptionError

PAGE = "page of facebook/sam3 on Hugging Face"
COMMAND = "segearth-ov3 checkpoint download"
# the name depends on the version of huggingface_hub
NOT_IN_REPOSITORY = getattr(errors, "RemoteEntryNotFoundError", errors.EntryNotFoundError)


class Request:
    method, url = "GET", "model.safetensors"


class Response:
    """As much of an HTTP response as huggingface_hub's exceptions read."""

    def __init__(self, status_code: int) -> None:
        self.status_code = status_code
        self.headers: dict[str, str] = {}
        self.request = Request()


class Hub:
    """Stands in for `hf_hub_download`: raises the next exception, or returns the path of the file."""

    def __init__(self, *answers: BaseException | None) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, str, dict[str, Any]]] = []

    def __call__(self, repo_id: str, filename: str, **options: Any) -> str:
        self.calls.append((repo_id, filename, options))
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer
        return str(Path(options["local_dir"]) / filename)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(*answers: BaseException | None) -> Hub:
        hub = Hub(*answers)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
        return hub

    return install


def _http_error(kind: type, status: int, message: str = "refused") -> BaseException:
    return kind(message, response=Response(status))


def _caused_by(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def test_safetensors_file_is_asked_for_first(answer: Any, tmp_path: Path) -> None:
    hub = answer(None)
    assert download_checkpoint(tmp_path) == tmp_path / "model.safetensors"
    assert [(repo, name) for repo, name, _ in hub.calls] == [("facebook/sam3", "model.safetensors")]


def test_users_own_token_is_used_by_default(answer: Any, tmp_path: Path) -> None:
    hub = answer(None)
    download_checkpoint(tmp_path)
    assert hub.calls[0][2] == {"local_dir": tmp_path, "token": None}


def test_official_file_is_taken_where_the_other_is_absent(answer: Any, tmp_path: Path) -> None:
    answer(_http_error(NOT_IN_REPOSITORY, 404), None)
    assert download_checkpoint(tmp_path) == tmp_path / "sam3.pt"


def test_repository_without_either_file_is_an_error(answer: Any, tmp_path: Path) -> None:
    answer(*[_http_error(NOT_IN_REPOSITORY, 404) for _ in range(2)])
    with pytest.raises(CheckpointError, match=r"holds none of model\.safetensors, sam3\.pt; visit its page"):
        download_checkpoint(tmp_path)


def test_release_3_1_comes_from_its_own_repository(answer: Any, tmp_path: Path) -> None:
    hub = answer(None)
    assert download_checkpoint(tmp_path, release="3.1") == tmp_path / "sam3.1_multiplex.pt"
    assert [(repo, name) for repo, name, _ in hub.calls] == [("facebook/sam3.1", "sam3.1_multiplex.pt")]


def test_refused_access_names_the_page_of_the_release(answer: Any, tmp_path: Path) -> None:
    answer(_http_error(errors.GatedRepoError, 403))
    with pytest.raises(CheckpointError, match=r"ask for access on the page of facebook/sam3\.1 on Hugging Face"):
        download_checkpoint(tmp_path, release="3.1")


def test_unknown_release_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"expected release 3 or 3\.1, got '4'"):
        download_checkpoint(tmp_path, release="4")


@pytest.mark.parametrize(
    "error",
    [
        _http_error(errors.GatedRepoError, 403),
        _http_error(errors.RepositoryNotFoundError, 401),
        _http_error(errors.HfHubHTTPError, 401),
        _http_error(errors.HfHubHTTPError, 403),
        _caused_by(errors.LocalEntryNotFoundError("not in the cache"), _http_error(errors.HfHubHTTPError, 403)),
    ],
)
def test_refused_access_says_page_and_command(error: BaseException, answer: Any, tmp_path: Path) -> None:
    answer(error)
    with pytest.raises(CheckpointError) as caught:
        download_checkpoint(tmp_path)
    message = str(caught.value)
    assert "access to facebook/sam3 is not granted" in message
    assert PAGE in message
    assert COMMAND in message
    assert "\n" not in message
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        errors.LocalEntryNotFoundError("cannot find the file\nin the local cache"),
        errors.OfflineModeIsEnabled("offline mode is enabled"),
        ConnectionError("name resolution failed"),
        TimeoutError("timed out"),
        errors.HfHubHTTPError.__mro__[1]("connection reset"),
        _http_error(errors.HfHubHTTPError, 503, "unavailable"),
    ],
)
def test_no_network_says_page_and_command(error: BaseException, answer: Any, tmp_path: Path) -> None:
    answer(error)
    with pytest.raises(CheckpointError) as caught:
        download_checkpoint(tmp_path)
    message = str(caught.value)
    assert "check the connection" in message
    assert PAGE in message
    assert COMMAND in message
    assert "\n" not in message


def test_unwritable_folder_is_told(answer: Any, tmp_path: Path) -> None:
    answer(PermissionError(13, "Permission denied", str(tmp_path)))
    with pytest.raises(CheckpointError, match=r"cannot write .*: Permission denied"):
        download_checkpoint(tmp_path)
