"""Any data set in OpenGait's layout, divided by a partition of the user's."""
