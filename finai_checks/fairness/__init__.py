"""C14 and C15: models read no prohibited attribute, and strong proxies of one are assessed."""
