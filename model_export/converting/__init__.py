"""From the program to a file, in builtin ops, and to a folder that is whole or not there."""
