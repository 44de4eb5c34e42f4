"""The command line ``finai``; ``finai_cli.main`` lists its commands."""

import os

# Workers and the threads of a run share the cores: a thread that waits for others must not spin where they would compute. The
# library of OpenMP reads this once, when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
