"""Reports: results for other tools, and a run told step by step."""
