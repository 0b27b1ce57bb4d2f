"""What upstream has changed in the files that the model mirrors, and whether anybody has looked."""

from harness.upstream.commits import Commit, from_git, from_text
from harness.upstream.looked import Looked, looked_at
from harness.upstream.mirror import Mirror, mirrors

__all__ = ["Commit", "Looked", "Mirror", "from_git", "from_text", "looked_at", "mirrors"]
