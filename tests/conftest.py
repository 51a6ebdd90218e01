"""What every test may rely on: a key that is no key, and no environment built by Ray."""

import os

os.environ.setdefault("ANTHROPIC_API_KEY", "sk-test-0123456789abcdef")
os.environ.pop("ANTHROPIC_BASE_URL", None)
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
