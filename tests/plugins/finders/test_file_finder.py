"""Directions from a user's file: what is read, what is refused and how, what an image's response is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from iibench.contract.errors import CaseError, FileError
from iibench.contract.specs import Directions, FitContext
from iibench.suite.params import ParamError, label, parse_params
from iibench_plugins.finders.file import Params, encode, fit, iibench_register_finders

V = np.random.default_rng(0).normal(size=(5, 12))


def fitted(folder, A, **params):
    return fit(Params(**params), A, FitContext(0, base_dir=folder))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "uint8"])
def test_rows_of_a_npy_file_in_any_number_format(dtype, tmp_path, activations):
    array = (V * 10 + 40).astype(dtype)
    np.save(tmp_path / "mine.npy", array)
    found = fitted(tmp_path, activations, path="mine.npy")
    assert found.vectors.dtype == np.float32
    np.testing.assert_allclose(found.vectors, array, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_rows_of_a_safetensors_file(dtype, tmp_path, activations):
    tensor = torch.from_numpy(V).to(dtype)
    save_file({"sae": tensor, "other": torch.zeros(3)}, tmp_path / "mine.safetensors")
    found = fitted(tmp_path, activations, path="mine.safetensors", key="sae")
    np.testing.assert_allclose(found.vectors, tensor.double().numpy(), rtol=1e-6)
    save_file({"only": tensor}, tmp_path / "one.safetensors")
    alone = fitted(tmp_path, activations, path="one.safetensors")
    assert np.array_equal(alone.vectors, found.vectors)


def test_columns_in_memory_order_and_paths_from_elsewhere(tmp_path, activations):
    np.save(tmp_path / "fortran.npy", np.asfortranarray(V))
    found = fitted(Path("nowhere"), activations, path=str(tmp_path / "fortran.npy"))
    assert np.array_equal(found.vectors, V.astype(np.float32))
    assert found.vectors.flags.c_contiguous


BROKEN = {
    "vector": (V[0], r"found 1 dimensions, shape \(12,\); expected 2"),
    "cube": (V[None], r"found 3 dimensions, shape \(1, 5, 12\); expected 2"),
    "empty": (V[:0], r"found shape \(0, 12\); expected at least one direction"),
    "nan": (np.where(np.arange(12) == 3, np.nan, V), r"5 of 5 rows .* not finite .* row 0"),
    "huge": (np.vstack([V, np.full((1, 12), 1e300)]), r"1 of 6 rows .* not finite .* row 5"),
    "zero": (0 * V, "all 5 rows are zero"),
    "complex": (V + 1j, "found entries of type complex128; expected real numbers"),
    "text": (V.astype(str), "found entries of type <U32; expected real numbers"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_set_of_directions_is_refused_by_name(name, tmp_path, activations):
    array, message = BROKEN[name]
    np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(FileError, match=rf"{name}\.npy': {message}"):
        fitted(tmp_path, activations, path=f"{name}.npy")


def test_files_that_are_not_what_they_are_called(tmp_path, activations):
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "nothing.npy").touch()
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=V)
    (tmp_path / "several.npz").rename(tmp_path / "archive.npy")
    (tmp_path / "text.safetensors").write_text("no array")
    for name in ("text.npy", "nothing.npy", "objects.npy", "archive.npy", "text.safetensors"):
        with pytest.raises(FileError, match=name) as caught:
            fitted(tmp_path, activations, path=name)
        assert "\n" not in str(caught.value)
    np.savetxt(tmp_path / "mine.csv", V)
    with pytest.raises(FileError, match=r"ending '\.csv'; expected \.npy, \.npz, \.safetensors"):
        fitted(tmp_path, activations, path="mine.csv")
    with pytest.raises(FileError, match=r"gone\.npy': no such file"):
        fitted(tmp_path, activations, path="gone.npy")


def test_one_array_of_any_format_gives_the_same_directions(tmp_path, activations):
    np.save(tmp_path / "UPPER.NPY", V)
    (tmp_path / "UPPER.NPY.npy").rename(tmp_path / "UPPER.NPY")
    np.savez(tmp_path / "one.npz", rows=V)
    torch.save(torch.tensor(V), tmp_path / "tensor.pt")
    torch.save({"rows": torch.tensor(V)}, tmp_path / "one.pth")
    for name in ("UPPER.NPY", "one.npz", "tensor.pt", "one.pth"):
        assert np.array_equal(
            fitted(tmp_path, activations, path=name).vectors, V.astype(np.float32)
        )
    np.savez(tmp_path / "two.npz", rows=V, bias=V[0])
    torch.save({"sae": {"rows": torch.tensor(V), "bias": torch.ones(5)}}, tmp_path / "two.pt")
    for name, key in (("two.npz", "rows"), ("two.pt", "sae.rows")):
        assert np.array_equal(
            fitted(tmp_path, activations, path=name, key=key).vectors, V.astype(np.float32)
        )
        with pytest.raises(FileError, match="found 2 arrays .*; expected one, or key: NAME"):
            fitted(tmp_path, activations, path=name)
        with pytest.raises(FileError, match=f"unknown array 'row'; nearest: {key}"):
            fitted(tmp_path, activations, path=name, key="row")
    with pytest.raises(FileError, match="key 'rows'; the file holds one tensor without a name"):
        fitted(tmp_path, activations, path="tensor.pt", key="rows")


def test_files_of_torch_that_hold_no_tensors_say_what_they_are(tmp_path, activations):
    torch.jit.script(torch.nn.Linear(12, 5)).save(tmp_path / "script.pt")
    torch.save({"rows": V}, tmp_path / "numpy.pt")
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    (tmp_path / "pointer.pt").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "text.pt").write_text("no tensors")
    for name, says in (
        ("script", "TorchScript archive"),
        ("numpy", "not tensors as torch.save writes them"),
        ("none", "found 0 arrays; expected one"),
        ("pointer", "git lfs pull"),
        ("text", "not tensors as torch.save writes them"),
    ):
        with pytest.raises(FileError, match=says) as caught:
            fitted(tmp_path, activations, path=f"{name}.pt")
        assert "weights_only" not in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("response", ["projection", "cosine"])
def test_a_row_of_zeros_among_others_is_a_dead_unit(response, tmp_path, activations):
    np.save(tmp_path / "mine.npy", V * (np.arange(5) != 2)[:, None])
    params = Params(path="mine.npy", response=response)
    found = fitted(tmp_path, activations, path="mine.npy", response=response)
    assert found.notes == ("1 of 5 rows are all zero and respond to nothing: row 2 (from 0)",)
    R = encode(params, found, activations)
    assert not R[:, 2].any()
    assert R[:, [0, 1, 3, 4]].any(axis=0).all()


def test_a_point_at_zero_is_as_good_as_any(tmp_path, activations):
    np.save(tmp_path / "mine.npy", V * (np.arange(5) != 2)[:, None])
    found = fitted(tmp_path, activations, path="mine.npy", response="neg_distance")
    R = encode(Params(path="mine.npy", response="neg_distance"), found, activations)
    assert found.notes == ()
    np.testing.assert_allclose(R[:, 2], -np.linalg.norm(activations, axis=1), rtol=1e-5)


def test_keys(tmp_path, activations):
    save_file({"decoder": torch.ones(2, 12), "bias": torch.ones(3)}, tmp_path / "m.safetensors")
    with pytest.raises(FileError, match=r"found 2 arrays \(bias, decoder\); expected one, or key"):
        fitted(tmp_path, activations, path="m.safetensors")
    with pytest.raises(FileError, match="unknown array 'decoder2'; nearest: decoder"):
        fitted(tmp_path, activations, path="m.safetensors", key="decoder2")
    with pytest.raises(FileError, match="array 'bias': found 1 dimensions"):
        fitted(tmp_path, activations, path="m.safetensors", key="bias")
    np.save(tmp_path / "mine.npy", V)
    with pytest.raises(FileError, match="found key 'a'; a .npy file holds one array"):
        fitted(tmp_path, activations, path="mine.npy", key="a")


def test_another_layers_directions_say_both_widths(tmp_path):
    np.save(tmp_path / "mine.npy", V)
    with pytest.raises(
        CaseError, match=r"5 directions in 'mine\.npy' have 12 entries .* N = 7 neurons"
    ):
        fitted(tmp_path, np.ones((3, 7), np.float32), path="mine.npy")


@given(st.integers(0, 2**32 - 1), st.sampled_from(["projection", "cosine", "neg_distance"]))
@settings(max_examples=30, deadline=None)
def test_responses_equal_a_plain_loop(seed, response):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(9, 4)).astype(np.float32)
    A[3] = 0
    rows = rng.normal(size=(3, 4)).astype(np.float32)
    A[5] = rows[1]
    R = encode(Params(path="", response=response), Directions(rows), A)
    for i, a in enumerate(A.astype(float)):
        for k, v in enumerate(rows.astype(float)):
            length = np.linalg.norm(a) * np.linalg.norm(v)
            expected = {
                "projection": a @ v,
                "cosine": a @ v / length if length else 0.0,
                "neg_distance": -np.linalg.norm(a - v),
            }[response]
            assert R[i, k] == pytest.approx(expected, abs=1e-5)
    if response != "neg_distance":
        rectified = encode(Params(path="", response=response, rectify=True), Directions(rows), A)
        assert np.array_equal(rectified, np.maximum(R, 0))


def test_nothing_is_left_of_a_rectified_distance():
    (spec,) = iibench_register_finders()
    with pytest.raises(ParamError, match="expected rectify: false"):
        parse_params(spec, {"path": "a.npy", "response": "neg_distance", "rectify": True})


def test_the_files_bytes_identify_the_directions(tmp_path):
    (spec,) = iibench_register_finders()
    np.save(tmp_path / "mine.npy", V)
    params = parse_params(spec, {"path": "mine.npy"})
    first = spec.inputs(params, tmp_path)
    assert first == hashlib.sha256((tmp_path / "mine.npy").read_bytes()).hexdigest()
    np.save(tmp_path / "mine.npy", V + 1)
    assert spec.inputs(params, tmp_path) != first
    with pytest.raises(FileError, match=r"gone\.npy': no such file"):
        spec.inputs(Params(path="gone.npy"), tmp_path)
    with pytest.raises(FileError, match=tmp_path.name):
        spec.inputs(Params(path="."), tmp_path)


def test_the_path_is_asked_for_and_shows_in_the_label():
    (spec,) = iibench_register_finders()
    with pytest.raises(ParamError, match="path: missing; expected text"):
        parse_params(spec, {})
    assert label(spec, parse_params(spec, {"path": "a/mine.npy"})) == 'file[path="a/mine.npy"]'
