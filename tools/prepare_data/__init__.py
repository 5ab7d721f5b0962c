"""Converters from the layout in which a benchmark set is downloaded to the one its configuration reads.

`prepare.py` is the command. A set is a `Recipe` in the file of its family (`whole`, `crops`, `extraction`, `general`,
`change`), whose docstring draws the source layout; `converting` carries recipes out, `checking` looks at the result.
"""
