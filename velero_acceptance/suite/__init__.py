"""The suite as pytest plugins: options and target, records of scenarios, the report."""

import pkgutil
from importlib.util import find_spec

# Needs allure-pytest, of the optional extra `report`.
ALLURE = "allure_steps"

pytest_plugins = [
    f"{__name__}.{module.name}"
    for module in pkgutil.iter_modules(__path__)
    if module.name != ALLURE or find_spec("allure") is not None
]
