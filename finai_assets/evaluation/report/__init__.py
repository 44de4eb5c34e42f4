"""The evaluation as a page for people: ``evaluation_page.py`` joins, ``results.py`` tells the outcome, ``figures.py`` draws."""
