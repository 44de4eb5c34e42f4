"""A bank's own tables, mapped onto the data contract by a data set's file alone."""
