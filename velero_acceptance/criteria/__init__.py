"""The register of acceptance criteria: read from ``criteria/``, checked, published as JSON Schema."""
