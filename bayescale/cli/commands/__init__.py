"""The commands, one module each: `add` defines its options, `run` carries it out."""
