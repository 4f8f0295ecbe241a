"""Feature files: collected by pytest, linted, shown step by step in Allure."""
