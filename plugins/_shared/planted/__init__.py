"""What the dataset, the model and the finder `planted` share: defaults that fit each other, and the source.

The dataset draws F features, the model reads them back and puts them into N < F neurons, and the finder
knows the directions; each takes F, and each must be given the same.
"""

from __future__ import annotations

#: Features F, pixels a side of an image, neurons N of the layer `superposed`.
FEATURES, SIZE, NEURONS = 64, 64, 32

ELHAGE2022 = (
    "@article{elhage2022toy,\n"
    "  author = {Nelson Elhage and Tristan Hume and Catherine Olsson and Nicholas Schiefer and Tom "
    "Henighan and Shauna Kravec and Zac Hatfield-Dodds and Robert Lasenby and Dawn Drain and Carol "
    "Chen and Roger Grosse and Sam McCandlish and Jared Kaplan and Dario Amodei and Martin Wattenberg "
    "and Christopher Olah},\n"
    "  title = {Toy Models of Superposition},\n"
    "  journal = {Transformer Circuits Thread},\n"
    "  year = {2022},\n"
    "  eprint = {2209.10652},\n"
    "  archivePrefix = {arXiv},\n"
    "}"
)
