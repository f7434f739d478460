"""A user's own network: its factory, its file of weights, and what tells whether it has changed."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import squeezenet1_1

import iibench
from iibench.contract.errors import FileError, UsageError
from iibench.hooks.loading import load_plugins
from iibench.suite.load import load_suite
from iibench_plugins.models._state import read_state
from iibench_plugins.models.checkpoint import Params, load

NET = """
    import torch
    from torch import nn

    def tiny():
        return nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 1)
        )

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = tiny()

        def forward(self, x):
            return self.body(x)

    def broken():
        raise RuntimeError("no such layer\\nat all")

    def number():
        return 3

    def infinite():
        net = tiny()
        net[3].bias.data[1] = float("inf")
        return net

    VALUE = 1
"""


@pytest.fixture
def folder(tmp_path):
    """The suite's folder, with a file that builds networks."""
    write(tmp_path / "net.py", NET)
    return tmp_path


def write(path, text):
    path.write_text(textwrap.dedent(text))


@pytest.fixture
def state():
    """Weights of `net.py:tiny` that no seed gives."""
    generator = torch.Generator().manual_seed(9)
    shapes = {"0.weight": (4, 3, 3, 3), "0.bias": (4,), "3.weight": (5, 4, 1, 1), "3.bias": (5,)}
    norm = dict.fromkeys(("1.weight", "1.bias", "1.running_mean", "1.running_var"), (4,))
    made = {name: torch.rand(shape, generator=generator) for name, shape in (shapes | norm).items()}
    return made | {"1.num_batches_tracked": torch.tensor(3)}


def assert_holds(module, state):
    assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())


@pytest.mark.usefixtures("generator_kept")
def test_activations_are_those_of_the_users_network(
    folder, offline, state, pictures, tapped, hooked, is_frozen
):
    torch.save(state, folder / "net.pt")
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    model = load(Params("net.py:tiny", "net.pt", mean=mean, std=std), "3", offline)
    assert_holds(model.module, state)
    assert is_frozen(model.module)
    assert model.provenance == "net.py:tiny, net.pt"
    images = pictures(12)
    for layer in ("0", "1", "2", "3"):
        expected = hooked(model.module, layer, images, mean, std).mean((2, 3))
        found = tapped(model, layer, images)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    resized = load(Params("net.py:tiny", "net.pt", size=8), "3", offline).preprocess
    assert (resized.size, resized.mean, resized.std) == (8, (0.0,) * 3, (1.0,) * 3)


@pytest.mark.usefixtures("generator_kept")
def test_without_weights_the_factorys_own_are_the_same_in_every_run(folder, offline):
    first, same, other = (
        load(Params("net.py:Net", seed=seed), "body", offline) for seed in (0, 0, 1)
    )
    weights = [model.module.body[0].weight for model in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert first.provenance == "net.py:Net, its own weights"


def test_a_function_of_an_installed_module(offline, tmp_path):
    own = squeezenet1_1()
    save_file(own.state_dict(), tmp_path / "s.safetensors")
    model = load(Params("torchvision.models:squeezenet1_1", "s.safetensors"), "features", offline)
    assert_holds(model.module, own.state_dict())


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_names_may_carry_a_prefix(folder, offline, state, suffix):
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    path = folder / f"net.{suffix}"
    torch.save(wrapped, path) if suffix == "pt" else save_file(wrapped, path)
    model = load(Params("net.py:tiny", path.name, strip="module."), "3", offline)
    assert_holds(model.module, state)
    with pytest.raises(FileError, match=r"no name starts with 'model\.' \(strip\); found module\."):
        load(Params("net.py:tiny", path.name, strip="model."), "3", offline)


def test_the_state_dict_may_lie_below_a_key(folder, offline, state):
    torch.save({"epoch": 3, "model": state, "optimizer": {"lr": 1.0}}, folder / "net.pt")
    assert_holds(load(Params("net.py:tiny", "net.pt", "model"), "3", offline).module, state)
    with pytest.raises(FileError, match="entries that may be one: model, optimizer"):
        load(Params("net.py:tiny", "net.pt"), "3", offline)
    with pytest.raises(FileError, match="no entry 'net' .* mappings: model, optimizer"):
        load(Params("net.py:tiny", "net.pt", "net"), "3", offline)
    torch.save(state, folder / "net.pt")
    with pytest.raises(FileError, match="no entry 'model' with a state dict; .* mappings: none"):
        load(Params("net.py:tiny", "net.pt", "model"), "3", offline)


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("net.py", "found factory 'net.py'; expected module:function, .* or file.py:function"),
        ("net.py:", "expected module:function"),
        (":tiny", "expected module:function"),
        ("net.py:tiny()", "expected module:function"),
        ("nett.py:tiny", r"there is no file '.*nett\.py'"),
        ("net.py:tinny", r"unknown function of net\.py 'tinny'; nearest: tiny"),
        ("net.py:VALUE", r"unknown function of net\.py 'VALUE'"),
        ("no.such.module:f", r"'no\.such\.module:f' cannot be imported: ModuleNotFoundError"),
        ("net.py:broken", r"'net\.py:broken' failed: RuntimeError: no such layer at all"),
        ("net.py:number", r"gives a value of type int; expected a torch\.nn\.Module"),
        ("wrong.py:f", r"'wrong\.py:f' cannot be imported: SyntaxError"),
    ],
)
def test_a_factory_that_is_none_is_named(folder, offline, factory, message):
    write(folder / "wrong.py", "def f(:")
    with pytest.raises(UsageError, match=message):
        load(Params(factory), "3", offline)


def test_a_network_that_is_not_finite_is_refused(folder, offline, state):
    with pytest.raises(FileError, match=r"net\.py:infinite has values .* not finite: 3\.bias"):
        load(Params("net.py:infinite"), "3", offline)
    state["1.running_var"][0] = torch.nan
    torch.save(state, folder / "net.pt")
    with pytest.raises(FileError, match=r"net\.pt' hold values .* not finite: 1\.running_var"):
        load(Params("net.py:tiny", "net.pt"), "3", offline)


def test_weights_that_do_not_fit_are_named(folder, offline, state):
    def refused(changed, message):
        torch.save(changed, folder / "net.pt")
        with pytest.raises(FileError, match=r"do not fit the network of net\.py:tiny: " + message):
            load(Params("net.py:tiny", "net.pt"), "3", offline)

    some = {name: tensor for name, tensor in state.items() if not name.startswith("1.")}
    refused(some, r"4 tensors missing \(1\.weight, 1\.bias, 1\.running_mean and 1 more\)$")
    refused(state | {"4.bias": torch.zeros(1)}, r"1 tensor unknown \(4\.bias\)$")
    refused(state | {"3.bias": torch.zeros(7)}, r"3\.bias has shape \(7,\), expected \(5,\)$")


def test_a_file_that_is_missing_or_pickled_is_refused_without_being_run(folder, offline):
    with pytest.raises(FileError, match=r"nowhere\.pt.*no such file"):
        load(Params("net.py:tiny", "nowhere.pt"), "3", offline)
    torch.save(torch.nn.Linear(1, 1), folder / "net.pt")
    with pytest.raises(FileError, match="Unsupported global") as error:
        load(Params("net.py:tiny", "net.pt"), "3", offline)
    assert "weights_only" not in str(error.value)  # torch's advice to load it unsafely


def test_entry_and_strip_are_about_a_file(folder, offline):
    with pytest.raises(UsageError, match="found entry or strip without weights"):
        load(Params("net.py:tiny", strip="module."), "3", offline)


# ---------------------------------------------------------------------------------- fingerprint


def fingerprint(offline, factory="net.py:tiny"):
    return load(Params(factory), "x", offline).fingerprint


def test_the_fingerprint_is_of_the_factorys_source(folder, offline):
    before = fingerprint(offline)
    assert len(before) == 64
    assert fingerprint(offline) == before
    write(folder / "net.py", NET.replace("nn.ReLU()", "nn.Tanh()"))
    assert fingerprint(offline) != before
    write(folder / "net.py", NET)
    assert fingerprint(offline) == before
    write(folder / "copy.py", NET)  # where the file lies is not what it computes
    assert fingerprint(offline, "copy.py:tiny") == before


def test_the_fingerprint_is_also_of_the_modules_that_the_network_is_made_of(folder, offline):
    """A class in a file beside the factory's; the network is made of it, whoever wrote `make`."""
    block = """
        from torch import nn

        class OwnBlock(nn.Conv2d):
            def forward(self, x):
                return super().forward(x) + 0
    """
    write(folder / "own_blocks_of_a_test.py", block)
    write(
        folder / "made.py",
        """
        import functools
        from own_blocks_of_a_test import OwnBlock

        def make(channels):
            return OwnBlock(3, channels, 1)

        small = functools.partial(make, 2)
        """,
    )
    before = fingerprint(offline, "made.py:small")
    write(folder / "own_blocks_of_a_test.py", block.replace("+ 0", "+ 1"))
    assert fingerprint(offline, "made.py:small") != before
    assert fingerprint(offline, "torchvision.models:squeezenet1_1") not in ("", before)


@pytest.mark.parametrize("place", ["file.py", "module"])
def test_the_fingerprint_is_also_of_what_the_factory_imports(folder, offline, monkeypatch, place):
    """A function beside the factory, of a module or where it is called, and what that imports."""
    name = f"made_{place[:4]}_of_a_test"
    monkeypatch.syspath_prepend(folder)
    deep = "def act(x):\n    return x.relu()\n"
    write(folder / f"{name}_deep.py", deep)
    write(folder / f"{name}_ops.py", f"from {name}_deep import act")
    write(folder / f"{name}_other.py", "x = 1")
    write(
        folder / f"{name}.py",
        f"""
        from torch import nn

        class Net(nn.Identity):
            def forward(self, x):
                from {name}_ops import act
                return act(x)

        make = Net
        """,
    )
    factory = f"{name}.py:make" if place == "file.py" else f"{name}:make"
    before = fingerprint(offline, factory)
    write(folder / f"{name}_other.py", "x = 2")
    assert fingerprint(offline, factory) == before
    write(folder / f"{name}_deep.py", deep.replace("relu", "tanh"))
    assert fingerprint(offline, factory) != before


def test_of_an_installed_package_every_module_counts(tmp_path, offline, monkeypatch):
    package = tmp_path / "site-packages" / "iibench_nets_of_a_test"
    package.mkdir(parents=True)
    write(package / "__init__.py", "from torch.nn import Identity as make")
    write(package / "other.py", "x = 1")
    monkeypatch.syspath_prepend(package.parent)
    # torch's own class: nothing but its version counts
    same = fingerprint(offline, "iibench_nets_of_a_test:make")
    write(package / "nets.py", "from torch import nn\nclass Net(nn.Identity): pass")
    before = fingerprint(offline, "iibench_nets_of_a_test.nets:Net")
    write(package / "other.py", "x = 2")
    assert fingerprint(offline, "iibench_nets_of_a_test.nets:Net") != before
    assert fingerprint(offline, "iibench_nets_of_a_test:make") == same


# --------------------------------------------------------------------------------------- suites


def test_a_suite_gives_every_parameter(tmp_path):
    (tmp_path / "suite.yaml").write_text(
        """
iibench: "1"
name: ownsuite
dataset: {name: photo_patches}
models:
  - name: checkpoint
    factory: nets/net.py:tiny
    weights: net.pt
    entry: model
    strip: module.
    mean: [0.5, 0.5, 0.5]
    std: [0.25, 0.25, 0.25]
    size: 64
    layers: ["2"]
finders: [neurons]
metrics: [color]
evaluations: [ii]
"""
    )
    suite = load_suite(tmp_path / "suite.yaml", load_plugins().registry)
    ((model, _),) = suite.models
    assert model.params == Params(
        "nets/net.py:tiny", "net.pt", "model", "module.", (0.5,) * 3, (0.25,) * 3, 64
    )


@pytest.mark.slow
def test_a_run_sees_that_the_factorys_source_has_changed(folder, offline):
    """The same suite, the same weights, and a cache that is kept: only the code differs."""
    (folder / "suite.yaml").write_text(
        """
iibench: "1"
name: ownsuite
dataset: {name: photo_patches, n: 60}
models:
  - {name: checkpoint, factory: "net.py:tiny", layers: ["2"]}
finders: [neurons]
metrics: [color]
evaluations: [ii]
"""
    )

    def scores(number):
        done = iibench.run(
            folder / "suite.yaml",
            device="cpu",
            output=folder / f"run{number}",
            data_dir=offline.data_dir,
            cache_dir=offline.cache_dir,
            offline=True,
        )
        return done.units()["score"].to_numpy()

    first = scores(1)
    np.testing.assert_array_equal(scores(2), first)
    write(folder / "net.py", NET.replace("nn.ReLU()", "nn.Softmax(1)"))
    assert not np.array_equal(scores(3), first)


def test_a_torchscript_file_is_named_in_our_words(tmp_path):
    torch.jit.script(torch.nn.Linear(1, 1)).save(tmp_path / "own.pt")
    with pytest.raises(FileError, match=r"TorchScript archive.*state_dict\(\)") as caught:
        read_state(tmp_path / "own.pt")
    assert "weights_only" not in str(caught.value)


def test_a_misspelt_file_of_weights_is_shown_its_neighbours(tmp_path):
    torch.save({}, tmp_path / "epoch_10.pt")
    with pytest.raises(
        FileError, match=r"epoch_1O\.pt': no such file; nearest in .*: epoch_10\.pt"
    ):
        read_state(tmp_path / "epoch_1O.pt")
