"""Every torch network of this project, with the official names of its parameters, and nothing else.

Import the modules themselves: this file imports none of them, so that a change in one network counts for that network alone. How a file here
looks: docs/add_a_frontalizer.md.
"""
