"""The command `harproxy`, and its pytest plugin."""
