"""Calls of functions: what an application brings, when a call runs, and what becomes of it."""
