"""The conformance checks of a dataset, of images or of trials."""

from __future__ import annotations

from typing import Any

from iibench.contract.specs import DatasetSpec, Harness
from iibench.contract.trials import TrialDatasetSpec
from iibench.suite.params import label as label_of
from iibench.suite.params import parse_params
from iibench.testing.checks import Check, CheckReport, failed_load, judge
from iibench.testing.datasets.rules import RULES, DatasetUnderTest
from iibench.testing.reference import toy_harness
from iibench.testing.state import Watched, preserved, watch


def check_dataset(
    spec: DatasetSpec,
    params: Any = None,
    harness: Harness | None = None,
    *,
    device: str = "cpu",
    label: str = "",
) -> CheckReport:
    """Checks a dataset: every split is loaded twice, and some of its images are read.

    `params`, `harness`, `label`: as in `check_metric`. A dataset whose files are not there is skipped.

    Raises `UsageError` where a parameter has no default and none is given.

    >>> from hashlib import sha256
    >>> class Noise:
    ...     labels, class_names, image_size = None, (), (8, 8)
    ...
    ...     def __init__(self):
    ...         self.pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
    ...         self.fingerprint = sha256(self.pixels).hexdigest()
    ...
    ...     def __len__(self):
    ...         return len(self.pixels)
    ...
    ...     def images(self, indices):
    ...         return self.pixels[np.asarray(indices)]
    >>> spec = DatasetSpec(name="noise", summary="Noise.", load=lambda params, split, harness: Noise())
    >>> check_dataset(spec).failed
    ()
    """
    chosen = parse_params(spec, {}) if params is None else params
    name = label or label_of(spec, chosen)
    lent = toy_harness(device=device) if harness is None else harness

    def load(split: str, seed: int) -> Watched[Any]:
        return watch(lambda: spec.load(chosen, split, lent), seed)

    with preserved():
        try:
            loads = {split: (load(split, 1), load(split, 2)) for split in spec.splits}
            sizes = {split: len(pair[0].value) for split, pair in loads.items()}
        except Exception as error:
            cause = "load must work with its default parameters for each of its splits"
            return failed_load("dataset", name, RULES, error, cause)
        seen = ", ".join(f"{split}: {n} images" for split, n in sizes.items())
        loaded = Check("load", "passed", seen, "every split loads", "")
        # published answers may come without the images that they are about
        if not min(sizes.values()) and not isinstance(spec, TrialDatasetSpec):
            loaded = Check("load", "failed", seen, "every split has images", "files were not found")
            return CheckReport("dataset", name, (loaded,))
        subject = DatasetUnderTest(spec, chosen, lent, loads)
        return CheckReport("dataset", name, (loaded, *judge(RULES, subject)))
