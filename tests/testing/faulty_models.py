"""Models with one mistake each, and without: the small network of the toys."""

from __future__ import annotations

import dataclasses

import torch

from iibench import LayerSpec, LoadedModel, ModelSpec, Preprocess
from iibench.testing import toy_harness
from iibench.testing.toys import LAYERS, small_network

PREPROCESS = Preprocess((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def loaded(module=None, **changes):
    made = LoadedModel(module or small_network(), PREPROCESS, "random, seed 0")
    return dataclasses.replace(made, **changes)


def spec(load):
    return ModelSpec(name="planted", summary="", load=lambda params, layer, resources: load(layer))


def harness(layers=LAYERS):
    """A harness in which the layers are registered for the planted model."""
    made = toy_harness()
    made.inputs.registry.layers["planted"] = list(layers)
    return made


def with_norm(training):
    net = torch.nn.Sequential()
    for name, child in small_network().named_children():
        net.add_module(name, child)
        if name == "conv1":
            net.add_module("norm", torch.nn.BatchNorm2d(16))
    net.requires_grad_(False).eval()
    net.norm.train(training)
    return net


def unseeded():
    net = small_network()
    torch.nn.init.kaiming_normal_(net.conv3.weight)
    return net


def other_scale():
    mean, std = (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)
    return loaded(preprocess=Preprocess(mean, std))


def layer_lookup(layer):
    """Looks the layer up before anything else."""
    dict(small_network().named_modules())[layer]
    return loaded()


MISSPELT = (LayerSpec("early", "relu1"), LayerSpec("late", "layer3.relu"))
