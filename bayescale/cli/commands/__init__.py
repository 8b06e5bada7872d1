"""The commands, one file each: `add` names its options, `run` does it."""
