"""The evaluation of the teacher against baselines and ceiling, the explanations of its predictions, and their pages."""
