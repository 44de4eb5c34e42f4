"""C09: features of past months are computed again as a reader without a future would compute them."""
