"""The evaluation as a page for people.

``evaluation_page.py`` hands to the template what it shows, ``results.py`` says what came out, ``wording.py`` puts figures into
words, and ``figures.py`` draws.
"""
