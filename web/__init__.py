"""The web side: the receiver, and the pages behind it."""
