"""Exports the models that the phone on the host is tested with into the folder it is given."""

from __future__ import annotations

import sys
from pathlib import Path

from pocketfed.model_export import export, export_zoo
from pocketfed.runtime import quietly

with quietly():
    import keras

STEPS, WORDS = 20, 30
CROSSENTROPY = "sparse_categorical_crossentropy"


def random() -> keras.Model:
    """Dropout, hence a seed for every step."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(16, "relu"),
            layers.Dropout(0.4),
            layers.Dense(4, "softmax"),
        ],
        name="random",
    )


def several() -> keras.Model:
    """Integers and floats go in, two outputs come out, with a loop and dropout between."""
    layers = keras.layers
    tokens = keras.Input((STEPS,), dtype="int32", name="tokens")
    scalars = keras.Input((3,), name="scalars")
    read = layers.SimpleRNN(4)(layers.Embedding(WORDS, 3)(tokens))
    both = layers.Dropout(0.4)(layers.Concatenate()([read, scalars]))
    outputs = [layers.Dense(3, "softmax", name="kind")(both), layers.Dense(1, name="size")(both)]
    return keras.Model([tokens, scalars], outputs, name="several")


def export_all(folder: Path) -> None:
    """Writes one artifact each."""
    keras.utils.set_random_seed(7)
    losses = (CROSSENTROPY, "mean_squared_error")
    export_zoo("mnist_2nn", out=folder / "mnist_2nn")
    export(random(), out=folder / "random", loss=CROSSENTROPY, batch_size=8)
    export(several(), out=folder / "several", loss=losses, optimizer="momentum", batch_size=4)


if __name__ == "__main__":
    export_all(Path(sys.argv[1]))
