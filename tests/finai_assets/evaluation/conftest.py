"""The planted panel that the tests of this room share."""

from teacher_fixtures import normaliser, panel, registry, small, teacher_tasks  # noqa: F401
