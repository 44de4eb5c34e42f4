"""What every section of the settings shares: frozen, and closed to keys it does not know."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
PositiveNumber = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A frozen part of the settings that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, protected_namespaces=())

    def only(self, *paths: str) -> Self:
        """Return a section that holds the named values alone; reading another value raises an error that names it.

        Parameters
        ----------
        paths
            Dotted: ``teacher`` for a whole section, ``teacher.routing`` for a value of it, ``products.code`` for a value of
            each entry of a list.

        Raises
        ------
        AttributeError
            There is no such value.
        """
        wanted: dict[str, list[str]] = {}
        for path in paths:
            name, _, rest = path.partition(".")
            wanted.setdefault(name, []).append(rest)
        values = {}
        for name, rests in wanted.items():
            value = getattr(self, name)
            if "" not in rests and isinstance(value, Section):
                value = value.only(*rests)
            elif "" not in rests and isinstance(value, tuple):
                value = tuple(entry.only(*rests) for entry in value)
            values[name] = value
        part = type(self).__new__(type(self))
        object.__setattr__(part, "__dict__", values)
        object.__setattr__(part, "__pydantic_fields_set__", set(values))
        object.__setattr__(part, "__pydantic_extra__", None)
        object.__setattr__(part, "__pydantic_private__", None)
        return part

    def has(self, path: str) -> bool:
        """Return whether there is a value of a dotted path."""
        name, _, rest = path.partition(".")
        value = getattr(self, name, None)
        if name not in type(self).model_fields or not rest:
            return name in type(self).model_fields
        entries = value if isinstance(value, tuple) else (value,)
        return all(isinstance(entry, Section) and entry.has(rest) for entry in entries)

    def __getattr__(self, name: str) -> Any:
        if name in type(self).model_fields:
            raise AttributeError(
                f"{type(self).__name__}.{name} was not handed to this computation: name it among the settings of its asset "
                "in finai_assets/asset_graph.py"
            )
        return super().__getattr__(name)  # type: ignore[misc]
