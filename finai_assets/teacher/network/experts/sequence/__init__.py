"""Parts of the temporal expert: how a sequence of transactions is read, and its three branches.

Each branch is a module of its own with a pure tensor path; the two that touch every single step also have a compiled kernel
for CPUs. The mixture of the branches belongs in ``temporal.py``, one folder up.
"""
