"""Runs a module as ``python -m`` does: Bazel starts files, and pocketfed's programs are modules.

The package ``pocketfed`` is the folder that Bazel laid out for this program, by whatever name.
The libraries are those of the environment, and not of what Bazel puts around the interpreter.
"""

import os
import runpy
import sys
import tempfile
from pathlib import Path

from python_environment import LIBRARIES

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pocketfed").symlink_to(Path(__file__).absolute().parents[2])
        sys.path[:0] = [folder, *LIBRARIES]
        # Processes that this one starts find the same.
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
        # `bazel run` starts programs elsewhere; paths are meant from where it was called.
        os.chdir(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
        runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
