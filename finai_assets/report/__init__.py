"""Reports as one self-contained HTML page: the page and its tables in ``page.py``, figures as SVG in ``plots.py``."""
