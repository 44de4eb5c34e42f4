"""A synthetic panel of customers with known truth: a process that runs, from which labels happen (docs/generator.md)."""

from finai_assets.ingest.synthetic.panel import customer_tokens, generate, panel_digest
from finai_assets.ingest.synthetic.report import GeneratorReport, render

__all__ = ["GeneratorReport", "customer_tokens", "generate", "panel_digest", "render"]
