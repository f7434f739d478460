"""BibTeX of what first-party plugins are made after, an entry per source, for `Spec.bibtex`.

ASCII, with LaTeX's commands for accents. A field that is not certain is left out. Several sources of one
plugin are joined by `entries`.
"""

from __future__ import annotations


def entries(*sources: str) -> str:
    """Several entries as one piece of BibTeX."""
    return "\n\n".join(sources)


def entry(kind: str, key: str, **fields: str | int) -> str:
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items()]
    return "@{}{{{},\n{}\n}}".format(kind, key, ",\n".join(lines))


def arxiv(number: str) -> dict[str, str]:
    return {"eprint": number, "archivePrefix": "arXiv"}


# the same text as PAPER in iibench/export/software.py, so that a run's bibliography has it once
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
ZIMMERMANN2024 = entry(
    "inproceedings",
    "zimmermann2024measuring",
    author="Roland S. Zimmermann and David Klindt and Wieland Brendel",
    title="Measuring Per-Unit Interpretability at Scale Without Humans",
    booktitle="Advances in Neural Information Processing Systems",
    year=2024,
    **arxiv("2410.14709"),
)
BOROWSKI2021 = entry(
    "inproceedings",
    "borowski2021exemplary",
    author="Judy Borowski and Roland S. Zimmermann and Judith Schepers and Robert Geirhos and "
    "Thomas S. A. Wallis and Matthias Bethge and Wieland Brendel",
    title="Exemplary Natural Images Explain {CNN} Activations Better than State-of-the-Art Feature "
    "Visualization",
    booktitle="International Conference on Learning Representations",
    year=2021,
    **arxiv("2010.12606"),
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
GHILDYAL2022 = entry(
    "inproceedings",
    "ghildyal2022shift",
    author="Abhijay Ghildyal and Feng Liu",
    title="Shift-tolerant Perceptual Similarity Metric",
    booktitle="European Conference on Computer Vision",
    year=2022,
    **arxiv("2207.13686"),
)
DING2020 = entry(
    "article",
    "ding2020image",
    author="Keyan Ding and Kede Ma and Shiqi Wang and Eero P. Simoncelli",
    title="Image Quality Assessment: Unifying Structure and Texture Similarity",
    journal="{IEEE} Transactions on Pattern Analysis and Machine Intelligence",
    year=2020,
    **arxiv("2004.07728"),
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
WANG2004 = entry(
    "article",
    "wang2004image",
    author="Zhou Wang and Alan C. Bovik and Hamid R. Sheikh and Eero P. Simoncelli",
    title="Image Quality Assessment: From Error Visibility to Structural Similarity",
    journal="{IEEE} Transactions on Image Processing",
    volume=13,
    number=4,
    pages="600--612",
    year=2004,
)
SHARMA2005 = entry(
    "article",
    "sharma2005ciede2000",
    author="Gaurav Sharma and Wencheng Wu and Edul N. Dalal",
    title="The {CIEDE2000} Color-Difference Formula: Implementation Notes, Supplementary Test Data, "
    "and Mathematical Observations",
    journal="Color Research \\& Application",
    volume=30,
    number=1,
    pages="21--30",
    year=2005,
)
BHATTACHARYYA1946 = entry(
    "article",
    "bhattacharyya1946measure",
    author="A. Bhattacharyya",
    title="On a Measure of Divergence between Two Multinomial Populations",
    journal="Sankhy{\\=a}",
    year=1946,
)

# ------------------------------------------------------------------------------------- finders

HYVARINEN2000 = entry(
    "article",
    "hyvarinen2000independent",
    author='Aapo Hyv{\\"a}rinen and Erkki Oja',
    title="Independent Component Analysis: Algorithms and Applications",
    journal="Neural Networks",
    volume=13,
    pages="411--430",
    year=2000,
)
LEE1999 = entry(
    "article",
    "lee1999learning",
    author="Daniel D. Lee and H. Sebastian Seung",
    title="Learning the Parts of Objects by Non-negative Matrix Factorization",
    journal="Nature",
    volume=401,
    pages="788--791",
    year=1999,
)
CICHOCKI2009 = entry(
    "article",
    "cichocki2009fast",
    author="Andrzej Cichocki and Anh-Huy Phan",
    title="Fast Local Algorithms for Large Scale Nonnegative Matrix and Tensor Factorizations",
    journal="{IEICE} Transactions on Fundamentals of Electronics, Communications and Computer "
    "Sciences",
    year=2009,
)
ZOU2006 = entry(
    "article",
    "zou2006sparse",
    author="Hui Zou and Trevor Hastie and Robert Tibshirani",
    title="Sparse Principal Component Analysis",
    journal="Journal of Computational and Graphical Statistics",
    volume=15,
    number=2,
    pages="265--286",
    year=2006,
)
MAIRAL2009 = entry(
    "inproceedings",
    "mairal2009online",
    author="Julien Mairal and Francis Bach and Jean Ponce and Guillermo Sapiro",
    title="Online Dictionary Learning for Sparse Coding",
    booktitle="International Conference on Machine Learning",
    year=2009,
)
SHARKEY2022 = entry(
    "misc",
    "sharkey2022taking",
    author="Lee Sharkey and Dan Braun and Beren Millidge",
    title="Taking Features out of Superposition with Sparse Autoencoders",
    howpublished="{AI} Alignment Forum",
    year=2022,
)
GAO2024 = entry(
    "misc",
    "gao2024scaling",
    author="Leo Gao and Tom {Dupr{\\'e} la Tour} and Henk Tillman and Gabriel Goh and Rajan Troll and "
    "Alec Radford and Ilya Sutskever and Jan Leike and Jeffrey Wu",
    title="Scaling and Evaluating Sparse Autoencoders",
    year=2024,
    **arxiv("2406.04093"),
)
FEL2025 = entry(
    "inproceedings",
    "fel2025archetypal",
    author="Thomas Fel and Ekdeep Singh Lubana and Jacob S. Prince and Matthew Kowal and Victor Boutin "
    "and Isabel Papadimitriou and Binxu Wang and Martin Wattenberg and Demba Ba and Talia Konkle",
    title="Archetypal {SAE}: Adaptive and Stable Dictionary Learning for Concept Extraction in Large "
    "Vision Models",
    booktitle="International Conference on Machine Learning",
    year=2025,
    **arxiv("2502.12892"),
)

# -------------------------------------------------------------------------- datasets and models

KRIZHEVSKY2009 = entry(
    "techreport",
    "krizhevsky2009learning",
    author="Alex Krizhevsky",
    title="Learning Multiple Layers of Features from Tiny Images",
    institution="University of Toronto",
    year=2009,
)
LAGUNAS2019 = entry(
    "article",
    "lagunas2019similarity",
    author="Manuel Lagunas and Sandra Malpica and Ana Serrano and Elena Garces and Diego Gutierrez and "
    "Belen Masia",
    title="A Similarity Measure for Material Appearance",
    journal="{ACM} Transactions on Graphics",
    volume=38,
    number=4,
    year=2019,
)
SCIKIT_IMAGE = entry(
    "article",
    "vanderwalt2014scikitimage",
    author="St{\\'e}fan {van der Walt} and others",
    title="scikit-image: Image Processing in {Python}",
    journal="{PeerJ}",
    volume=2,
    pages="e453",
    year=2014,
)
SCIKIT_LEARN = entry(
    "article",
    "pedregosa2011scikit",
    author="Fabian Pedregosa and others",
    title="Scikit-learn: Machine Learning in {Python}",
    journal="Journal of Machine Learning Research",
    volume=12,
    pages="2825--2830",
    year=2011,
)
HE2016 = entry(
    "inproceedings",
    "he2016deep",
    author="Kaiming He and Xiangyu Zhang and Shaoqing Ren and Jian Sun",
    title="Deep Residual Learning for Image Recognition",
    booktitle="Proceedings of the {IEEE} Conference on Computer Vision and Pattern Recognition",
    year=2016,
    **arxiv("1512.03385"),
)
TORCHVISION = entry(
    "misc",
    "torchvision2016",
    author="{TorchVision maintainers and contributors}",
    title="{TorchVision}: {PyTorch}'s Computer Vision Library",
    year=2016,
    howpublished="github.com/pytorch/vision",
)
WIGHTMAN2019 = entry(
    "misc",
    "wightman2019timm",
    author="Ross Wightman",
    title="{PyTorch} Image Models",
    year=2019,
    howpublished="github.com/huggingface/pytorch-image-models",
)
ILHARCO2021 = entry(
    "misc",
    "ilharco2021openclip",
    author="Gabriel Ilharco and Mitchell Wortsman and Ross Wightman and Cade Gordon and others",
    title="{OpenCLIP}",
    year=2021,
    howpublished="github.com/mlfoundations/open\\_clip",
)
RADFORD2021 = entry(
    "inproceedings",
    "radford2021learning",
    author="Alec Radford and Jong Wook Kim and Chris Hallacy and Aditya Ramesh and Gabriel Goh and "
    "Sandhini Agarwal and Girish Sastry and Amanda Askell and Pamela Mishkin and Jack Clark and "
    "Gretchen Krueger and Ilya Sutskever",
    title="Learning Transferable Visual Models From Natural Language Supervision",
    booktitle="International Conference on Machine Learning",
    year=2021,
    **arxiv("2103.00020"),
)
TAN2019 = entry(
    "inproceedings",
    "tan2019efficientnet",
    author="Mingxing Tan and Quoc V. Le",
    title="{EfficientNet}: Rethinking Model Scaling for Convolutional Neural Networks",
    booktitle="International Conference on Machine Learning",
    year=2019,
    **arxiv("1905.11946"),
)
KRIZHEVSKY2014 = entry(
    "misc",
    "krizhevsky2014weird",
    author="Alex Krizhevsky",
    title="One Weird Trick for Parallelizing Convolutional Neural Networks",
    year=2014,
    **arxiv("1404.5997"),
)
SIMONYAN2015 = entry(
    "inproceedings",
    "simonyan2015very",
    author="Karen Simonyan and Andrew Zisserman",
    title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
    booktitle="International Conference on Learning Representations",
    year=2015,
    **arxiv("1409.1556"),
)
AIZMAN2019 = entry(
    "inproceedings",
    "aizman2019high",
    author="Alex Aizman and Gavin Maltby and Thomas Breuel",
    title="High Performance {I/O} For Large Scale Deep Learning",
    booktitle="IEEE International Conference on Big Data",
    year=2019,
    **arxiv("2001.01858"),
)
LHOEST2021 = entry(
    "inproceedings",
    "lhoest2021datasets",
    author="Quentin Lhoest and others",
    title="Datasets: A Community Library for Natural Language Processing",
    booktitle=(
        "Conference on Empirical Methods in Natural Language Processing: System Demonstrations"
    ),
    year=2021,
    **arxiv("2109.02846"),
)
