"""Networks written as programs for other runtimes."""
