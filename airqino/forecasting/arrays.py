"""Types of the forecast's arrays."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
#: Features: LightGBM takes single precision.
Matrix = npt.NDArray[np.float32]
