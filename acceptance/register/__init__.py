"""The register of requirements: read from ``requirements/``, checked, published as JSON Schema."""
