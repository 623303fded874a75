"""TensorFlow Federated as an independent check: the same rounds, made by it.

It lives in an environment of its own (``make tff``) and is never imported here: a job goes there as
files, and weights come back. ``rounds.py`` runs there.
"""

from .files import TffJob, made, measured
from .mapping import MEAN, OWN
from .running import interpreter, make_rounds

__all__ = ["MEAN", "OWN", "TffJob", "interpreter", "made", "make_rounds", "measured"]
