"""The suite as pytest plugins: options and target, records of scenarios, the report."""

import pkgutil

pytest_plugins = [f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)]
