"""Bundling: an artifact becomes assets of an Android app.

What an app ships cannot be mended on the phone, so what a phone relies on is checked first.
"""

from .fitness import require_fit
from .laying import Laid, lay

__all__ = ["Laid", "lay", "require_fit"]
