"""What is common to errors that are for whoever asked."""


class Refusal(ValueError):
    """What was asked cannot be. The text is a sentence for whoever asked, with the fix if there is one."""
