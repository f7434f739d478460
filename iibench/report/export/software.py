"""BibTeX of the software behind a run's numbers, with the versions that it used, and of the paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from iibench.report.export.escape import latex

#: The paper whose definitions iibench implements. Plugins that cite it give the same entry.
PAPER = """@misc{klindt2023identifying,
  author = {David Klindt and Sophia Sanborn and Francisco Acosta and Fr{\\'e}d{\\'e}ric Poitevin and \
Nina Miolane},
  title = {Identifying Interpretable Visual Features in Artificial and Biological Neural Systems},
  year = {2023},
  eprint = {2310.11431},
  archivePrefix = {arXiv}
}"""

#: Name in a run's versions -> further fields of its entry. A paper about it stands in the note.
_FIELDS: Mapping[str, Mapping[str, str]] = {
    "iibench": {
        "title": "{iibench}: An Evaluation Harness for the Interpretability of Features in Vision "
        "Networks",
    },
    "torch": {
        "author": "Adam Paszke and others",
        "title": "{PyTorch}",
        "note": "{PyTorch}: An Imperative Style, High-Performance Deep Learning Library. Advances in "
        "Neural Information Processing Systems, 2019",
    },
    "torchvision": {
        "author": "{TorchVision maintainers and contributors}",
        "title": "{TorchVision}: {PyTorch}'s Computer Vision Library",
    },
    "lpips": {"author": "Richard Zhang and others", "title": "{lpips}"},
    "numpy": {
        "author": "Charles R. Harris and others",
        "title": "{NumPy}",
        "note": "Array Programming with {NumPy}. Nature 585, 357--362, 2020",
    },
    "scipy": {
        "author": "Pauli Virtanen and others",
        "title": "{SciPy}",
        "note": "{SciPy} 1.0: Fundamental Algorithms for Scientific Computing in {Python}. Nature "
        "Methods 17, 261--272, 2020",
    },
    "scikit-learn": {
        "author": "Fabian Pedregosa and others",
        "title": "{scikit-learn}",
        "note": "Scikit-learn: Machine Learning in {Python}. Journal of Machine Learning Research 12, "
        "2825--2830, 2011",
    },
    "scikit-image": {
        "author": "St{\\'e}fan {van der Walt} and others",
        "title": "{scikit-image}",
        "note": "scikit-image: Image Processing in {Python}. {PeerJ} 2, e453, 2014",
    },
    "pandas": {
        "author": "Wes McKinney and others",
        "title": "{pandas}",
        "note": "Data Structures for Statistical Computing in {Python}. Proceedings of the 9th "
        "{Python} in Science Conference, 2010",
    },
    "pillow": {"author": "Jeffrey A. Clark and others", "title": "{Pillow}"},
}


def software(versions: Mapping[str, str]) -> Iterator[str]:
    """An entry of kind `software` for each known name in `versions`, iibench first."""
    for name in ("iibench", *(n for n in versions if n != "iibench")):
        known = _FIELDS.get(name)
        if known is None:
            continue
        version = latex(versions.get(name, ""))
        fields = {**known, **({"version": version} if version else {})}
        lines = ",\n".join(f"  {field} = {{{value}}}" for field, value in fields.items())
        yield f"@software{{software-{name},\n{lines}\n}}"
