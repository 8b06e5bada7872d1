"""The form of every error message of the command line."""


def refused(result, *words: str) -> None:
    """Check that a command exits with code 2 and prints one sentence, which has the words."""
    code, out, err = result
    assert code == 2
    assert out == ""
    assert err.startswith("bayescale: ")
    assert err.count("\n") == 1, "one sentence"
    assert "Traceback" not in err
    for word in words:
        assert word in err
