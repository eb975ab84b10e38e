"""Exact masks and sparse kernels: numpy only at import, everything else on first use."""
