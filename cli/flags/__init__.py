"""What people write on a command line: the flags, and what their words mean to the library."""
