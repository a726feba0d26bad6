"""The clients of this edge and their registration in Redis. The layers above use the registrar and its counts."""
