"""Generated aerial scenes with exact labels, and the small demo checkpoint that is trained on them."""
