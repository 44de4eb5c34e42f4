"""The choice model: which product a customer acquires next, of those that are still open to the customer."""
