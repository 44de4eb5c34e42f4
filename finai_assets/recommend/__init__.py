"""Monthly recommendations: every customer of a month, scored by the code that is deployed."""
