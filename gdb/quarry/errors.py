"""What a command says instead of an answer."""


class Trouble(Exception):
    """A line for the user: what was expected, or why there is no answer."""
