"""The Python environment of this machine, as a repository: its interpreter and its libraries."""

_BUILD = """\
load("@rules_python//python:defs.bzl", "py_library", "py_runtime", "py_runtime_pair")

package(default_visibility = ["//visibility:public"])

py_runtime(
    name = "runtime",
    interpreter_path = {interpreter},
    python_version = "PY3",
)

py_runtime_pair(
    name = "runtime_pair",
    py3_runtime = ":runtime",
)

toolchain(
    name = "toolchain",
    toolchain = ":runtime_pair",
    toolchain_type = "@bazel_tools//tools/python:toolchain_type",
)

py_library(
    name = "libraries",
    srcs = ["python_environment.py"],
    imports = ["."],
)
"""

# Not the virtual environment's own interpreter, which would also find what was installed to be
# edited, such as another copy of pocketfed.
_INTERPRETER = "import sys; print(getattr(sys, '_base_executable', sys.executable), end='')"

_LIBRARIES = """\
import sysconfig
print("LIBRARIES =", sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
"""

def _ask(repository, interpreter, program):
    asked = repository.execute([interpreter, "-c", program])
    if asked.return_code:
        fail("%s does not run: %s" % (interpreter, asked.stderr))
    return asked.stdout

def _python_environment_impl(repository):
    named = repository.os.environ.get("POCKETFED_PYTHON", "")
    interpreter = repository.path(named) if named else repository.which("python3")
    if not interpreter:
        fail("no python3 on PATH: name one with POCKETFED_PYTHON")
    base = _ask(repository, interpreter, _INTERPRETER)
    repository.file("BUILD", _BUILD.format(interpreter = repr(base)))
    repository.file("python_environment.py", _ask(repository, interpreter, _LIBRARIES))

python_environment = repository_rule(
    implementation = _python_environment_impl,
    environ = ["PATH", "POCKETFED_PYTHON"],
    doc = "The Python of POCKETFED_PYTHON, or else python3, with the libraries installed for it.",
    local = True,
)
