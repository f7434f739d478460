"""Weights in repositories on the Hugging Face Hub, kept in the hub's own cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iibench import AssetError

from .._shared.loading import optional

if TYPE_CHECKING:
    from iibench import Resources

#: Seconds that the hub has to answer. Its library alone would try again for minutes.
TIMEOUT = 5.0


@dataclass(frozen=True)
class HubWeights:
    """The weights of `network` (its label) in `repository`, in the first of `filenames` that is there.

    `by_hand`: the file's name, without suffix, where a user saves it in the data folder.
    `parameter`: of the plugin, that takes a path instead. `extra`: that installs what is needed.
    """

    network: str
    repository: str
    filenames: tuple[str, ...]
    by_hand: str
    parameter: str
    extra: str


def hub_file(weights: HubWeights, resources: Resources) -> Path:
    """The file: out of the data folder, else the hub's cache, else fetched into that cache.

    Raises `AssetError` that names the address and what to do by hand where it cannot be had.
    """
    hub = optional("huggingface_hub", weights.extra)
    for suffix in dict.fromkeys(Path(name).suffix for name in weights.filenames):
        if (path := resources.data_dir / f"{weights.by_hand}{suffix}").is_file():
            return path
    for name in weights.filenames:
        if isinstance(found := hub.try_to_load_from_cache(weights.repository, name), str):
            return Path(found)
    reason = "offline: nothing is downloaded"
    if not resources.offline:
        fetched = _fetched(weights)
        if isinstance(fetched, Path):
            return fetched
        reason = fetched
    first = weights.filenames[0]
    raise AssetError(
        f"the weights of {weights.network} cannot be had ({reason}); download "
        f"{hub.hf_hub_url(weights.repository, first)} elsewhere and save it as "
        f"{resources.data_dir / weights.by_hand}{Path(first).suffix}, or name the file with "
        f"{weights.parameter}: PATH"
    )


def _fetched(weights: HubWeights) -> Path | str:
    """The file in the hub's cache, or why it is not there."""
    hub = optional("huggingface_hub", weights.extra)
    absent = optional("huggingface_hub.utils", weights.extra).EntryNotFoundError
    try:
        for name in weights.filenames:
            url = hub.hf_hub_url(weights.repository, name)
            try:  # one question without a second try: can the hub be reached, is the file there?
                hub.get_hf_file_metadata(url, timeout=TIMEOUT)
            except absent:
                continue
            return Path(hub.hf_hub_download(weights.repository, name))
    except Exception as error:  # those of the library's HTTP client, which differ by version
        return (str(error).splitlines() or [type(error).__name__])[0]
    return f"{weights.repository} has none of {', '.join(weights.filenames)}"
