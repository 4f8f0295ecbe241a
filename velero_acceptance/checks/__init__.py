"""The judgements behind the Then steps: pure functions of what drivers returned, each with a test that goes red."""
