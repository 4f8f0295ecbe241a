"""The register of requirements: read from ``criteria/``, checked, published as JSON Schema."""
