"""The evaluation as a page for people: ``evaluation_page.py`` joins it, ``results.py`` tells the outcome, ``figures.py`` draws."""
