"""The command ``pocketfed``, and the compositions behind it: the only code that joins the packages.

``entry`` is the rim between a shell and the library, ``commands`` lists the verbs, ``flags`` what
they understand; ``simulating`` and ``demo`` put server, phones and report together.
"""

from .entry import main

__all__ = ["main"]
