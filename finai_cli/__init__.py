"""The command line ``finai``; ``finai_cli.main`` lists its commands."""
