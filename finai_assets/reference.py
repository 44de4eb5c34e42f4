"""References to functions as text, ``package.module:name``: a table that holds them imports none of the functions."""

from __future__ import annotations

import importlib
from typing import Any

from finai_resources.errors import ConfigError


def module_of(reference: str) -> str:
    """Return the module part of a reference.

    Raises
    ------
    ConfigError
        The text is not of the form ``package.module:name``.
    """
    module, colon, name = reference.partition(":")
    if not (module and colon and name):
        raise ConfigError("this text names no function", where=repr(reference), fix="write it as package.module:name")
    return module


def resolve(reference: str) -> Any:
    """Import the module of a reference and return the object that the reference names.

    Raises
    ------
    ConfigError
        The text is not of the form ``package.module:name``, or there is no such module or name.
    """
    module = module_of(reference)
    name = reference.removeprefix(f"{module}:")
    try:
        return getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ConfigError(
            str(error), where=repr(reference), fix=f"define {name} in {module}, or correct the name"
        ) from error
