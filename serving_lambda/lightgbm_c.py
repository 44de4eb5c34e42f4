"""LightGBM's C library called by ctypes: load a model from its text, predict, explain. No Python package of LightGBM.

The shared library is looked for in ``FINAI_LIGHTGBM_LIB``, then in ``serving_lambda/lib``, then beside an installed
``lightgbm`` package, which is located but never imported. Matrices are float32 buffers in C order (``array.array('f')`` or a
numpy array) and are read where they lie, without a copy.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from array import array
from pathlib import Path
from typing import Any

from serving_lambda.errors import ServingError

FLOAT32, ROW_MAJOR = 0, 1
RAW, CONTRIBUTIONS = 1, 3
LIBRARY_NAME = "lib_lightgbm.so"


def library_path() -> Path:
    """Return where the shared library lies.

    Raises
    ------
    ServingError
        ``ENGINE_UNAVAILABLE``: it is in none of the three places.
    """
    named = os.environ.get("FINAI_LIGHTGBM_LIB")
    places = [Path(named)] if named else [Path(__file__).parent / "lib" / LIBRARY_NAME]
    if not named:
        package = importlib.util.find_spec("lightgbm")
        places += [
            Path(folder) / "lib" / LIBRARY_NAME for folder in (package and package.submodule_search_locations) or ()
        ]
    for place in places:
        if place.is_file():
            return place
    raise ServingError("ENGINE_UNAVAILABLE", f"{LIBRARY_NAME} was not found", "FINAI_LIGHTGBM_LIB")


class Library:
    """The loaded C library; every call is checked."""

    def __init__(self, path: Path | None = None) -> None:
        try:
            self._c = ctypes.CDLL(str(path or library_path()))
            self._c.LGBM_GetLastError.restype = ctypes.c_char_p
        except (OSError, AttributeError) as error:
            raise ServingError("ENGINE_UNAVAILABLE", f"LightGBM's library cannot be loaded: {error}") from None

    def call(self, function: str, *arguments: Any, code: str = "PREDICTION_FAILED") -> None:
        """Call a function of the C API.

        Raises
        ------
        ServingError
            With the given code and LightGBM's own message.
        """
        if getattr(self._c, function)(*arguments) != 0:
            message = self._c.LGBM_GetLastError().decode("utf-8", "replace")
            raise ServingError(code, f"{function}: {message}")


class Model:
    """One booster, freed with its owner.

    Parameters
    ----------
    library : Library
    text : bytes
        The model as LightGBM writes it. Only text whose hash was checked may come here: the C parser trusts its input.

    Raises
    ------
    ServingError
        ``MODEL_UNREADABLE``: LightGBM does not take the text.
    """

    def __init__(self, library: Library, text: bytes) -> None:
        self._library = library
        self._handle = ctypes.c_void_p()
        self._fast: dict[int, tuple[ctypes.c_void_p, Any]] = {}
        rounds = ctypes.c_int()
        self._free = (
            library._c.LGBM_BoosterFree
        )  # kept here: at exit the module's names may be gone before the model is
        self._free_fast = library._c.LGBM_FastConfigFree
        library.call(
            "LGBM_BoosterLoadModelFromString",
            ctypes.c_char_p(text),
            ctypes.byref(rounds),
            ctypes.byref(self._handle),
            code="MODEL_UNREADABLE",
        )
        self.rounds = rounds.value
        self.classes = self._number("LGBM_BoosterGetNumClasses")
        self.columns = self._number("LGBM_BoosterGetNumFeature")

    def _number(self, function: str) -> int:
        value = ctypes.c_int()
        self._library.call(function, self._handle, ctypes.byref(value), code="MODEL_UNREADABLE")
        return value.value

    def raw_row(self, row: Any) -> list[float]:
        """Return the raw scores [classes] of one row (float32 buffer [columns])."""
        return self._predict_row(row, RAW, self.classes)

    def contributions_row(self, row: Any) -> list[float]:
        """Return the exact TreeSHAP values of one row [classes * (columns + 1)], the expected value last in each class."""
        return self._predict_row(row, CONTRIBUTIONS, self.classes * (self.columns + 1))

    def raw(self, matrix: Any, rows: int, *, threads: int = 1) -> array[float]:
        """Return raw scores [rows * classes], row by row, of a float32 C-order matrix [rows, columns]."""
        return self._predict(matrix, rows, RAW, self.classes, threads)

    def contributions(self, matrix: Any, rows: int, *, threads: int = 1) -> array[float]:
        """Return TreeSHAP values [rows * classes * (columns + 1)] of a float32 C-order matrix [rows, columns]."""
        return self._predict(matrix, rows, CONTRIBUTIONS, self.classes * (self.columns + 1), threads)

    def _predict_row(self, row: Any, what: int, width: int) -> list[float]:
        if what not in self._fast:
            config = ctypes.c_void_p()
            self._library.call(
                "LGBM_BoosterPredictForMatSingleRowFastInit",
                self._handle, ctypes.c_int(what), ctypes.c_int(0), ctypes.c_int(-1), ctypes.c_int(FLOAT32),
                ctypes.c_int32(self.columns), ctypes.c_char_p(_parameters(1)), ctypes.byref(config),
            )  # fmt: skip
            self._fast[what] = (config, ctypes.c_double * width)
        config, shape = self._fast[what]
        out, length = shape(), ctypes.c_int64()
        address = _address(row, self.columns)
        self._library.call("LGBM_BoosterPredictForMatSingleRowFast", config, address, ctypes.byref(length), out)
        _expect(length.value, width)
        return list(out)

    def _predict(self, matrix: Any, rows: int, what: int, width: int, threads: int) -> array[float]:
        out = array("d", bytes(8 * rows * width))
        if rows == 0:
            return out
        length = ctypes.c_int64()
        self._library.call(
            "LGBM_BoosterPredictForMat",
            self._handle, _address(matrix, rows * self.columns), ctypes.c_int(FLOAT32), ctypes.c_int32(rows),
            ctypes.c_int32(self.columns), ctypes.c_int(ROW_MAJOR), ctypes.c_int(what), ctypes.c_int(0), ctypes.c_int(-1),
            ctypes.c_char_p(_parameters(threads)), ctypes.byref(length), ctypes.c_void_p(out.buffer_info()[0]),
        )  # fmt: skip
        _expect(length.value, rows * width)
        return out

    def close(self) -> None:
        """Free the model; it cannot be used after."""
        for config, _ in self._fast.values():
            self._free_fast(config)
        self._fast = {}
        if self._handle:
            self._free(self._handle)
            self._handle = ctypes.c_void_p()

    def __del__(self) -> None:
        if getattr(self, "_free", None) is not None:
            self.close()


def _parameters(threads: int) -> bytes:
    # Early exit and shape checks are LightGBM's defaults (off, on); verbosity -1 keeps its log out of the answer's stream.
    return f"num_threads={threads} verbosity=-1".encode()


def _address(buffer: Any, size: int) -> ctypes.c_void_p:
    """Return the address of a float32 C-order buffer of at least ``size`` elements, which must outlive the call."""
    if isinstance(buffer, array):
        if buffer.typecode != "f" or len(buffer) < size:
            raise ServingError(
                "PREDICTION_FAILED", f"needs {size} float32 values, got {len(buffer)} '{buffer.typecode}'"
            )
        return ctypes.c_void_p(buffer.buffer_info()[0])
    if buffer.dtype.str not in {"<f4", "=f4"} or not buffer.flags.c_contiguous or buffer.size < size:
        raise ServingError(
            "PREDICTION_FAILED", f"needs {size} float32 values in C order, got {buffer.dtype} {buffer.shape}"
        )
    return ctypes.c_void_p(buffer.ctypes.data)


def _expect(found: int, wanted: int) -> None:
    if found != wanted:
        raise ServingError("PREDICTION_FAILED", f"LightGBM gave {found} values where {wanted} belong")
