"""Generated aerial scenes with exact labels; `scenes` has the public functions."""
