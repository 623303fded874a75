"""Programs and tests of pocketfed: Bazel starts files, so run_module.py runs their modules."""

load("@rules_python//python:defs.bzl", "py_binary", "py_test")

_RUN = "//tools/bazel:run_module.py"
_LIBRARIES = "@python_environment//:libraries"

def program(name, module, deps, visibility = None):
    """A program that is `python -m module`.

    Args:
      name: of the program.
      module: dotted name; whoever starts the program within a build gives it as first argument.
      deps: libraries that have the module and all it imports.
      visibility: who may start it within a build.
    """
    py_binary(
        name = name,
        srcs = [_RUN],
        args = [module],
        legacy_create_init = 0,
        main = _RUN,
        visibility = visibility,
        deps = deps + [_LIBRARIES],
    )

def suite(name, srcs, deps, data = []):
    """Tests that pytest runs, but for those that are marked slow.

    Args:
      name: of the suite.
      srcs: files of tests, and every conftest.py that they need.
      deps: the packages that they import.
      data: what they read besides.
    """
    py_test(
        name = name,
        srcs = [_RUN] + srcs,
        args = ["pytest", "-m", "'not slow'", "-p", "no:cacheprovider"] + [
            "%s/%s" % (native.package_name(), file)
            for file in srcs
            if file.split("/")[-1].startswith("test_")
        ],
        data = data + ["//:pyproject.toml"],
        legacy_create_init = 0,
        main = _RUN,
        deps = deps + [_LIBRARIES],
    )
