"""Names of the arrays that cross a plugin's boundary, for annotations; importing this imports NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
#: (n, height, width, 3) pixels, 0 to 255
ImageArray = npt.NDArray[np.uint8]
#: one value per stimulus or answer, "" where there is none
TextArray = npt.NDArray[np.str_]
