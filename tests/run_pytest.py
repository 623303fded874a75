"""Lets Bazel run the tests of one folder: arguments go to pytest as they are."""

import sys

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main([*sys.argv[1:], "-p", "no:cacheprovider", "-c", "/dev/null"]))
