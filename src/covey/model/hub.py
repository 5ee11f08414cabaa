"""Models from the Hugging Face hub: a local copy of what covey reads of them, safetensors and never pickles.

Knows nothing of what the files mean.

    folder = snapshot("owner/name", report)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from covey.errors import CoveyError
from covey.model.atomic import Report, silent

# Weights come under this name; some repositories hold them a second time under others.
_WANTED = ["*.json", "*.jinja", "*.txt", "*.model", "model*.safetensors"]
_TIMEOUT_SECONDS = 10.0


def snapshot(name: str, report: Report = silent, download: Callable[[str, bool], str] | None = None) -> Path:
    """The folder of a hub model: from the hub, or from an earlier download when the hub cannot be asked.

    download(name, offline) returns the folder. Raises CoveyError when neither works.
    """
    download = download or _download
    report("ask the hub", None)
    try:
        return Path(download(name, False))
    except Exception as error:  # of the hub's library, its HTTP library and the system: there is no common base
        try:
            return Path(download(name, True))
        except Exception:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            advice = "check the spelling and the network, or name a local folder"
            raise CoveyError(f"target {name!r}: no such folder here, and the hub does not give it ({reason}): {advice}") from error


def _download(name: str, offline: bool) -> str:
    from huggingface_hub import HfApi, snapshot_download

    if not offline:
        # Fails at once where there is no network; the download itself would try again for half a minute.
        HfApi().model_info(name, timeout=_TIMEOUT_SECONDS)
    return snapshot_download(name, allow_patterns=_WANTED, local_files_only=offline)
