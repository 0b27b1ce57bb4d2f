"""kvm-replay with the architectures of another folder beside its own: run.py FOLDER ARGUMENT..."""

from __future__ import annotations

import importlib.util
import sys

spec = importlib.util.find_spec("harness.model")
assert spec is not None
assert spec.loader is not None
assert spec.submodule_search_locations is not None
spec.submodule_search_locations.append(f"{sys.argv[1]}/harness/model")
module = importlib.util.module_from_spec(spec)
sys.modules["harness.model"] = module
spec.loader.exec_module(module)

from harness.cli.main import main  # noqa: E402 - what it imports looks at the path

if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
