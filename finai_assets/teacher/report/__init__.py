"""The evaluation as a page for people: ``document.py`` joins it, ``results.py`` tells the outcome, ``figures.py`` draws."""
