"""The evaluation as a page for people.

``evaluation_page.py`` joins it, ``results.py`` says what came out, and ``figures.py`` draws.
"""
