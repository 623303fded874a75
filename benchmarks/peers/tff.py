"""The work in TensorFlow Federated: its weighted federated averaging of a Keras model."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from work import arguments


def model_fn():
    keras = tf.keras
    model = keras.Sequential(
        [
            keras.layers.InputLayer((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(200, activation="relu"),
            keras.layers.Dense(200, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    spec = (tf.TensorSpec((None, 28, 28), tf.float32), tf.TensorSpec((None,), tf.int32))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return tff.learning.models.from_keras_model(model, loss=loss, input_spec=spec)


def main():
    work, laps = arguments()
    process = tff.learning.algorithms.build_weighted_fed_avg(
        model_fn,
        client_optimizer_fn=tff.learning.optimizers.build_sgdm(learning_rate=work.learning_rate),
        server_optimizer_fn=tff.learning.optimizers.build_sgdm(learning_rate=1.0),
    )
    phones = [
        tf.data.Dataset.from_tensor_slices(work.of(phone)).shuffle(work.examples).batch(work.batch)
        for phone in range(work.phones)
    ]
    rng, state = np.random.default_rng(0), process.initialize()
    laps.note(0)
    for _ in range(work.rounds):
        chosen = rng.choice(work.phones, work.cohort, replace=False)
        output = process.next(state, [phones[phone] for phone in chosen])
        state = output.state
        examples = output.metrics["client_work"]["train"]["num_examples"]
        laps.note(int(examples) // work.examples)


if __name__ == "__main__":
    main()
