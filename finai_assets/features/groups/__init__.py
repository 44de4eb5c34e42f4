"""One module for each feature group: ``columns``, and for a group that exists ``fit`` (where it fits) and ``transform``."""
