"""The Java rules that Bazel brought along before they moved to rules_java: its own files load them."""

java_import = native.java_import
java_library = native.java_library
java_runtime = native.java_runtime
java_toolchain = native.java_toolchain
