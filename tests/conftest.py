"""What all tests share: one real lab for the whole run, made when the first test asks for it."""

pytest_plugins = ("tests.lab_session",)
