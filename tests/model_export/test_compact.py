"""The compact file: the same answers from fewer bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from pocketfed.model_export.compact import compacted as compact
from pocketfed.model_export.proving.lint import lint
from pocketfed.runtime import CompiledRuntime, Model, Runtime, quietly

SIZE = 400
TABLE = np.arange(SIZE, dtype=np.float32)


class Arithmetic(tf.Module):
    """Two signatures that use one table, a large zero and a small one, and a zero filter."""

    @tf.function(input_signature=[tf.TensorSpec((SIZE,), name="x")])
    def add(self, x):
        return {"y": tf.nn.relu(x + tf.constant(TABLE)) * 2.0}

    @tf.function(input_signature=[tf.TensorSpec((SIZE,), name="x")])
    def subtract(self, x):
        found = x - tf.constant(TABLE)
        return {"y": tf.concat([found, tf.zeros(SIZE), tf.zeros(3)], 0)}

    @tf.function(input_signature=[tf.TensorSpec((1, 20, 20, 1), name="x")])
    def convolve(self, x):
        return {"y": tf.nn.conv2d(x, tf.zeros((10, 10, 1, 1)), 1, "VALID")}


@pytest.fixture(scope="module")
def converted() -> bytes:
    module = Arithmetic()
    functions = [module.add, module.subtract, module.convolve]
    with quietly():
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [function.get_concrete_function() for function in functions], module
        )
        return bytes(converter.convert())


@pytest.fixture(scope="module")
def compacted(converted: bytes) -> bytes:
    return compact(converted)


def parsed(model: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(model, 0)


def data_of(root: Any) -> list[bytes]:
    return [bytes(buffer.data) for buffer in root.buffers if buffer.data is not None]


@pytest.mark.parametrize("signature", ["add", "subtract", "convolve"])
def test_the_answers_stay(converted: bytes, compacted: bytes, signature: str) -> None:
    shape = (1, 20, 20, 1) if signature == "convolve" else (SIZE,)
    x = {"x": np.random.default_rng(0).normal(size=shape).astype(np.float32)}
    before, after = (Runtime(model).call(signature, x)["y"] for model in (converted, compacted))
    np.testing.assert_array_equal(after, before)


def test_it_is_smaller_and_a_second_pass_finds_nothing(converted: bytes, compacted: bytes) -> None:
    assert len(compacted) < 0.8 * len(converted)
    assert len(compact(compacted)) == len(compacted)


def test_equal_constants_of_two_signatures_are_stored_once(compacted: bytes) -> None:
    assert data_of(parsed(compacted)).count(TABLE.tobytes()) == 1


def test_large_zeros_are_filled_and_small_ones_stay(converted: bytes, compacted: bytes) -> None:
    assert bytes(4 * SIZE) in data_of(parsed(converted))
    assert bytes(4 * SIZE) not in data_of(parsed(compacted))
    assert bytes(4 * 3) in data_of(parsed(compacted))
    assert lint(compacted).ops["FILL"] == 1


def test_a_filter_of_zeros_stays_a_constant(compacted: bytes) -> None:
    """A convolution is fast only if its filter is one."""
    assert bytes(4 * 100) in data_of(parsed(compacted))


def test_inputs_and_outputs_keep_their_names(converted: bytes, compacted: bytes) -> None:
    def names(model: bytes) -> list[list[bytes]]:
        return [
            [graph.tensors[index].name for index in (*graph.inputs, *graph.outputs)]
            for graph in parsed(model).subgraphs
        ]

    assert names(compacted) == names(converted)


def test_the_oldest_runtime_is_still_noted(converted: bytes, compacted: bytes) -> None:
    assert lint(compacted).minimum_runtime == lint(converted).minimum_runtime != "unknown"


class Repeating(tf.Module):
    """One tensor under three names, and an input that is an output."""

    @tf.function(input_signature=[tf.TensorSpec((3,), name="x"), tf.TensorSpec((), name="n")])
    def run(self, x, n):
        y = tf.tanh(x)
        return {"first": y, "again": tf.identity(y), "once_more": tf.identity(y), "n": n}


@pytest.fixture(scope="module")
def repeating(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    module = Repeating()
    folder = str(tmp_path_factory.mktemp("repeating"))
    with quietly():
        tf.saved_model.save(module, folder, signatures={"run": module.run})
        return bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def output_places(model: bytes) -> list[int]:
    (signature,) = parsed(model).signatureDefs
    return [output.tensorIndex for output in signature.outputs]


def test_every_output_becomes_a_tensor_of_its_own(repeating: bytes) -> None:
    compacted = compact(repeating)
    (graph,) = parsed(compacted).subgraphs
    assert len(set(output_places(repeating))) == 2
    assert len(set(output_places(compacted))) == 4
    assert sorted(graph.outputs) == sorted(output_places(compacted))
    assert not set(graph.outputs) & set(graph.inputs)
    assert (lint(repeating).ops, lint(compacted).ops) == ({"TANH": 1}, {"CAST": 3, "TANH": 1})


@pytest.mark.parametrize("runtime", [Runtime, CompiledRuntime])
def test_outputs_that_are_equal_come_back_under_each_name(
    repeating: bytes, runtime: type[Model]
) -> None:
    inputs = {"x": np.array([0.5, -0.0, np.inf], np.float32), "n": np.float32(7)}
    found = runtime(compact(repeating)).call("run", inputs)
    assert found.keys() == {"first", "again", "once_more", "n"}
    assert found["again"].tobytes() == found["once_more"].tobytes() == found["first"].tobytes()
    assert (found["n"].shape, found["n"]) == ((), 7)


def test_outputs_that_differ_are_left_alone(converted: bytes, compacted: bytes) -> None:
    assert "CAST" not in lint(compacted).ops
