"""The suite as pytest plugins: options and target, records of scenarios, the report."""
