"""HTTP: parse, call, render; for devices, for operators, and for whoever watches."""
