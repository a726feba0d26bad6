"""What reads the logs, and hands what is new to the streams."""
