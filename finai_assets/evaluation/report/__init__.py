"""The evaluation as a page for people: ``evaluation_page.py`` joins it, ``results.py`` holds results, ``figures.py`` draws."""
