"""``python -m pocketfed.cli``, the same as ``pocketfed``."""

import sys

from .entry import main

sys.exit(main())
