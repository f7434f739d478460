"""The metric human_label, and the names that CIFAR-10's test split has for it."""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from iibench.assets.local import LocalResources
from iibench.compute.images import names_of
from iibench.compute.similarity.embeddings import given_rows
from iibench.contract.errors import AssetError, CaseError, Skip
from iibench.stages.subsets import Subset
from iibench_plugins.datasets import cifar10
from iibench_plugins.datasets.cifar10 import names as _cifar10h
from iibench_plugins.metrics import human_label, label

SPEC = next(iter(human_label.iibench_register_metrics()))
LABEL = next(iter(label.iibench_register_metrics()))
METRIC = SPEC.load(SPEC.params(), None)
DATASET = next(iter(cifar10.iibench_register_datasets()))
N = 10_000


def similarity(counts):
    """(n, n) cosines of the embeddings, in float64."""
    rows = METRIC.embed(torch.as_tensor(counts, dtype=torch.float32)).double()
    return torch.nn.functional.cosine_similarity(rows[:, None], rows[None], dim=2).numpy()


def overlap(a, b):
    """sum_c sqrt(p_c q_c), name by name."""
    return sum((x / sum(a) * y / sum(b)) ** 0.5 for x, y in zip(a, b, strict=True))


named = arrays(np.int64, (4, 5), elements=st.integers(0, 60)).filter(
    lambda counts: bool((counts.sum(axis=1) > 0).all())
)

# ------------------------------------------------------------------------------------ metric


@given(named)
def test_it_is_the_overlap_of_the_names(counts):
    found = similarity(counts)
    expected = [[overlap(a, b) for b in counts.tolist()] for a in counts.tolist()]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (found > -1e-6).all()
    assert (found < 1 + 1e-6).all()
    np.testing.assert_allclose(np.diag(found), 1, atol=1e-6)
    np.testing.assert_allclose(similarity(counts * 7), found, atol=1e-6)
    order = np.array([3, 0, 4, 1, 2])
    np.testing.assert_allclose(similarity(counts[:, order]), found, atol=1e-6)


@given(arrays(np.int64, 6, elements=st.integers(0, 4)))
def test_it_is_the_label_where_everybody_agrees(labels):
    counts = 51 * np.eye(5, dtype=np.int64)[labels]
    rows = LABEL.load(LABEL.params(), None).embed(torch.from_numpy(labels))
    np.testing.assert_allclose(similarity(counts), (rows == rows.T).numpy(), atol=1e-7)


def test_shape_and_type():
    rows = METRIC.embed(torch.tensor([[3.0, 1.0], [0.0, 5.0]]))
    assert rows.dtype == torch.float32
    np.testing.assert_allclose(rows, [[0.75**0.5, 0.25**0.5], [0, 1]])
    assert METRIC.embed(torch.zeros(0, 10)).shape == (0, 10)
    assert METRIC.fingerprint == ""
    assert (SPEC.input, SPEC.distance, SPEC.range) == ("names", "cosine", "[0, 1]")


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (
            torch.tensor([[1.0, 0], [0, 0], [0, 0]]),
            r"nobody gave image 1 \(from 0\) a name and 1 m",
        ),
        (torch.tensor([[1.0, 0], [2, 1], [0, 0]]), r"nobody gave image 2 \(from 0\) a name$"),
        (torch.tensor([[1.0, 2], [3, -1]]), "the count of name 1 of image 1 is -1"),
        (torch.tensor([[torch.nan, 2]]), "the count of name 0 of image 0 is nan"),
        (torch.ones(3), r"expects floating counts of names \(n, C\), got float32 of shape \(3,\)"),
        (torch.ones(3, 2, dtype=torch.int64), "got int64"),
    ],
)
def test_other_inputs_are_refused(counts, message):
    with pytest.raises(CaseError, match=message):
        METRIC.embed(counts)


# ----------------------------------------------------------------------------------- CIFAR-10


@pytest.fixture(scope="module")
def batch():
    """10,000 black test images in torchvision's form, and their labels."""
    labels = np.random.default_rng(0).integers(0, 10, N)
    data = {b"data": np.zeros((N, 3072), np.uint8), b"labels": labels.tolist()}
    return pickle.dumps(data, protocol=2), labels


def counts_for(labels):
    """51 names an image, 45 of them its label."""
    counts = 45 * np.eye(10, dtype=np.int64)[labels]
    counts[np.arange(len(labels)), (labels + 1) % 10] += 6
    return counts


@pytest.fixture
def resources(tmp_path):
    (tmp_path / "data").mkdir()
    return LocalResources(tmp_path / "data", tmp_path / "cache", offline=True)


def put_batch(resources, monkeypatch, split, name, content):
    """Writes a batch to the data folder, its MD5 in the place of CIFAR-10's."""
    folder = resources.data_dir / cifar10.FOLDER
    folder.mkdir()
    (folder / name).write_bytes(content)
    md5 = hashlib.md5(content).hexdigest()
    monkeypatch.setattr(cifar10, "BATCHES", {split: {name: md5}})


@pytest.fixture
def batches(batch, resources, monkeypatch):
    """The labels of the generated test batch, which is in place."""
    put_batch(resources, monkeypatch, "test", "test_batch", batch[0])
    return batch[1]


@pytest.fixture
def put(resources, monkeypatch):
    """put(array) writes the counts, their SHA-256 in the place of CIFAR-10H's."""

    def written(array):
        path = resources.data_dir / "cifar10h-counts.npy"
        if isinstance(array, bytes):
            path.write_bytes(array)
        else:
            np.save(path, array)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        file = replace(_cifar10h.COUNTS.files[0], sha256=sha256)
        monkeypatch.setattr(_cifar10h, "COUNTS", replace(_cifar10h.COUNTS, files=(file,)))
        return path

    return written


def test_the_test_split_knows_its_names(batches, put, resources):
    counts = counts_for(batches)
    put(counts.astype(np.int16))
    dataset = DATASET.load(DATASET.params(), "test", resources)
    found = dataset.given_names()
    assert found.counts.dtype == np.int64
    np.testing.assert_array_equal(found.counts, counts)
    assert found.sha256 == hashlib.sha256(counts.tobytes()).hexdigest()
    assert dataset.given_names() is found
    rows = given_rows(METRIC, SPEC, dataset)
    same, other = np.flatnonzero(batches == batches[0])[1], np.flatnonzero(batches != batches[0])
    assert rows[0] @ rows[same] == pytest.approx(1, abs=1e-6)
    far = other[(batches[other] - batches[0]) % 10 == 5][0]
    assert rows[0] @ rows[far] == 0
    chosen = np.array([7, 3, 9_999])
    np.testing.assert_array_equal(given_rows(METRIC, SPEC, Subset(dataset, chosen)), rows[chosen])


FOUR = pickle.dumps({b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1, 2, 3]})


@pytest.mark.parametrize(
    ("split", "name", "reason"),
    [
        ("train", "data_batch_1", "of its test split only"),
        ("test", "test_batch", "names 10,000 images, these are 4"),
    ],
)
def test_other_batches_have_no_names(resources, monkeypatch, split, name, reason):
    put_batch(resources, monkeypatch, split, name, FOUR)
    dataset = DATASET.load(DATASET.params(), split, resources)
    assert len(dataset) == 4
    with pytest.raises(Skip, match=reason):
        names_of(dataset)


@pytest.mark.parametrize(
    ("split", "reason"),
    [("test", "JPEG zip's order maps to that one is not known"), ("train", "test split only")],
)
def test_the_zip_has_no_names(resources, split, reason):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(buffer, "jpeg")
    with zipfile.ZipFile(resources.data_dir / f"cifar10-jpeg-{split}.zip", "w") as archive:
        for name in cifar10.CLASSES:
            archive.writestr(f"{name}/0000.jpg", buffer.getvalue())
    with pytest.raises(Skip, match=reason):
        names_of(DATASET.load(DATASET.params(), split, resources))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda c: c[:-1], r"is int64 \(9999, 10\), expected integers \(10000, 10\)"),
        (lambda c: c[:, :9], r"is int64 \(10000, 9\)"),
        (lambda c: c / 51, r"is float64 \(10000, 10\)"),
        (lambda c: c - 1, "has a count of -1"),
        (lambda c: c[::-1], r"is the label of 1\d\.\d% of the images, expected at least 90%"),
        (lambda c: b"no array", "cannot be read as a NumPy array"),
        (lambda c: c.astype(object), "cannot be read as a NumPy array"),
    ],
)
def test_counts_that_are_none_are_named(batch, put, make, message):
    labels = batch[1]
    path = put(make(counts_for(labels)))
    with pytest.raises(AssetError, match=message) as caught:
        _cifar10h.read_names(path, labels)
    assert str(path) in str(caught.value)


def test_missing_counts_say_where_to_put_them(batches, resources):
    dataset = DATASET.load(DATASET.params(), "test", resources)
    with pytest.raises(AssetError) as caught:
        dataset.given_names()
    for part in (
        str(resources.data_dir),
        "cifar10h-counts.npy",
        "9b36b4550349af56c79083356312eb4af856cc5fd3caf1f669d40b9d0bbb69ff",
        "https://raw.githubusercontent.com/jcpeterson/cifar-10h/",
    ):
        assert part in str(caught.value)


@pytest.mark.shared
def test_the_real_counts(shared, tmp_path):
    """About 51 people an image, 95 % of them of one mind; names that look alike are confused."""
    resources = LocalResources(shared / "data/cifar10h", tmp_path, offline=True)
    _, path = resources.asset(_cifar10h.COUNTS)
    counts = np.load(path)
    # The labels themselves are not beside the counts: the majority's name stands for them.
    found = _cifar10h.read_names(path, counts.argmax(axis=1))
    assert found.counts.sum() == 511_000
    people = found.counts.sum(axis=1)
    assert (people.min(), people.max()) == (47, 63)
    shares = found.counts / people[:, None]
    assert shares.max(axis=1).mean() == pytest.approx(0.954, abs=1e-3)
    rows = METRIC.embed(torch.from_numpy(found.counts).float()).numpy()
    np.testing.assert_allclose((rows**2).sum(axis=1), 1, atol=1e-6)
    same = counts.argmax(axis=1)
    assert same[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]  # the first labels of test_batch
    cats, dogs, ships = (rows[same == k] for k in (3, 5, 8))
    assert (cats @ cats.T).mean() > (cats @ dogs.T).mean() > (cats @ ships.T).mean()
    with pytest.raises(AssetError, match="its order is not that of CIFAR-10's test images"):
        _cifar10h.read_names(path, same[::-1])
