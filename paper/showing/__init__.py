"""docs/paper.md: what was measured as tables and pictures, beside the paper's."""
