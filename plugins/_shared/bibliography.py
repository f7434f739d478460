"""BibTeX for `Spec.bibtex`: how entries are written, and those that several plugins need.

ASCII, with LaTeX's commands for accents. A field that is not certain is left out.
"""

from __future__ import annotations


def entries(*sources: str) -> str:
    """Several entries as one piece of BibTeX."""
    return "\n\n".join(sources)


def entry(kind: str, key: str, **fields: str | int) -> str:
    """One entry, a line a field."""
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items()]
    return "@{}{{{},\n{}\n}}".format(kind, key, ",\n".join(lines))


def arxiv(number: str) -> dict[str, str]:
    """The fields of a preprint."""
    return {"eprint": number, "archivePrefix": "arXiv"}


# the same text as PAPER in iibench/report/export/software.py, so that a run's bibliography has it once
KLINDT2023 = entry(
    "misc",
    "klindt2023identifying",
    author="David Klindt and Sophia Sanborn and Francisco Acosta and Fr{\\'e}d{\\'e}ric Poitevin "
    "and Nina Miolane",
    title="Identifying Interpretable Visual Features in Artificial and Biological Neural Systems",
    year=2023,
    **arxiv("2310.11431"),
)
ZIMMERMANN2023 = entry(
    "inproceedings",
    "zimmermann2023scale",
    author="Roland S. Zimmermann and Thomas Klein and Wieland Brendel",
    title="Scale Alone Does not Improve Mechanistic Interpretability in Vision Models",
    booktitle="Advances in Neural Information Processing Systems",
    year=2023,
    **arxiv("2307.05471"),
)

# ------------------------------------------------------------------------------------- metrics

ZHANG2018 = entry(
    "inproceedings",
    "zhang2018unreasonable",
    author="Richard Zhang and Phillip Isola and Alexei A. Efros and Eli Shechtman and Oliver Wang",
    title="The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
    booktitle="Proceedings of the {IEEE} Conference on Computer Vision and Pattern Recognition",
    year=2018,
    **arxiv("1801.03924"),
)
FU2023 = entry(
    "inproceedings",
    "fu2023dreamsim",
    author="Stephanie Fu and Netanel Tamir and Shobhita Sundaram and Lucy Chai and Richard Zhang and "
    "Tali Dekel and Phillip Isola",
    title="{DreamSim}: Learning New Dimensions of Human Visual Similarity using Synthetic Data",
    booktitle="Advances in Neural Information Processing Systems",
    year=2023,
    **arxiv("2306.09344"),
)

# ------------------------------------------------------------------------------------- finders

MAIRAL2009 = entry(
    "inproceedings",
    "mairal2009online",
    author="Julien Mairal and Francis Bach and Jean Ponce and Guillermo Sapiro",
    title="Online Dictionary Learning for Sparse Coding",
    booktitle="International Conference on Machine Learning",
    year=2009,
)

# -------------------------------------------------------------------------- datasets and models
