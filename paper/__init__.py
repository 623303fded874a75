"""The experiments of arXiv 1602.05629, run on this project's own simulator and exported models.

Each exhibit of the paper is a small script; what it measured lies in ``results/`` and is set beside
the paper's own numbers in docs/paper.md.
"""
