"""Processes of several hosts: they find, hear and stop one another."""
