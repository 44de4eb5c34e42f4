"""The section `schema_changes`: what a change of the source's schema leads to, by its kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from finai_assets.settings.base import Section, Share

# ignore: the change is recorded. widen: recorded, and the words that are known of the column grow. hold: an incident is opened,
# and the gates of the months that it touches stay closed until `finai schema accept` or `reject`. rematerialise: the months and
# groups that it touches are computed again. A change of a column that the mapping does not read is recorded, whatever is written.
Policy = Literal["ignore", "widen", "hold", "rematerialise"]


class SchemaChangeSettings(Section):
    """What each kind of change leads to, and from when on something counts as one."""

    added: Policy  # a column has come
    dropped: Policy  # a column has gone
    renamed: (
        Policy  # a column has gone, and one of the same type with nearly the same values, or in its place, has come
    )
    retyped: Policy  # a column has another type
    vocabulary: Policy  # a column whose words the mapping declares has words that it had not
    null_share: Policy  # a key column, or one by which rows are found, has another share of missing values
    # estimated share of the values that two columns have in common (of all that either has) from which on one that went and one
    # that came count as the same column
    same_values: Share
    null_jump: Share  # difference of two shares of missing values from which on it counts
    # so many different words are remembered of a column whose words the mapping declares; of one with more, none are compared
    max_words: Annotated[int, Field(ge=1, le=100_000)]
