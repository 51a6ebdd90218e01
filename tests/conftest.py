"""What every test may rely on: a key that is no key, and no environment built by Ray."""

import os

from hypothesis import settings

os.environ.setdefault("ANTHROPIC_API_KEY", "sk-test-0123456789abcdef")
os.environ.pop("ANTHROPIC_BASE_URL", None)
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
settings.register_profile("shared machine", deadline=None)  # how long an example takes says nothing here
settings.load_profile("shared machine")
