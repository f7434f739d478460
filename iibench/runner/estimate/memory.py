"""Bytes that the large arrays of a run take at the same time, which `--memory` limits.

n images, N neurons, K directions. A mapped file counts only for as long as its pages are not let go of.
"""

from __future__ import annotations

from iibench.cache.budget import are_mapped
from iibench.cache.mapped import RELEASE_BYTES
from iibench.compute.encoding import ROWS
from iibench.compute.ranking import BLOCK_BYTES


def written_activations(n: int, width: int) -> int:
    """While (n, N) activations are written, or their checksums looked at."""
    return min(4 * n * width, RELEASE_BYTES)


def encoding(n: int, width: int, k: int, memory: int) -> int:
    """While (n, K) responses are made, and kept where they are no mapped file."""
    rows = min(n, ROWS)
    block = 4 * rows * (width + k)
    if not are_mapped(n, k, memory):
        return 12 * n * k + block
    portion = min(4 * n * k, max(4 * rows * k, memory // 8))
    return block + 3 * portion  # its blocks, all of them together, and what is written of the file


def ranking(n: int, k: int) -> int:
    """While images are ranked by mapped responses and drawn from that order."""
    return min(8 * n * k, BLOCK_BYTES)


def embedded(n: int, asked: float, width: int, memory: int) -> tuple[int, int]:
    """(kept to the end, held during a question) of the embeddings of `asked` images of n."""
    size = round(4 * asked * width)
    if 4 * n * width <= memory // 2:
        return size, 0
    return 0, min(size, max(memory // 2, RELEASE_BYTES))
