"""Compiles the hot path with mypyc, where there is a C compiler: the same source, half the CPU (decision 5)."""
