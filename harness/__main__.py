"""`python -m harness` is `kvm-replay`."""

import sys

from harness.cli.main import main

sys.exit(main())
