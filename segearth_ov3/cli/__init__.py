"""The command `segearth-ov3`; one file per sub-command."""
