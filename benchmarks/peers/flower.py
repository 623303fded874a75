"""The work as a user of Flower has it simulated: its engine, its FedAvg, its usual Keras client."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from flwr.app import ArrayRecord, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from work import FOLDER, Work, arguments

client, server = ClientApp(), ServerApp()


def model_of(learning_rate):
    import keras

    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(200, activation="relu"),
            keras.layers.Dense(200, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(learning_rate), loss=loss, metrics=["accuracy"])
    return model


@client.train()
def train(message, context):
    """The client of Flower's own template for TensorFlow."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    keras.backend.clear_session()
    work = Work(os.environ[FOLDER])
    model = model_of(work.learning_rate)
    model.set_weights(message.content["arrays"].to_numpy_ndarrays())
    x, y = work.of(context.node_config["partition-id"])
    history = model.fit(x, y, epochs=1, batch_size=work.batch, verbose=0)
    loss = {"train_loss": history.history["loss"][-1], "num-examples": len(x)}
    told = {"arrays": ArrayRecord(model.get_weights()), "metrics": MetricRecord(loss)}
    return type(message)(RecordDict(told), reply_to=message)


class Timed(FedAvg):
    """FedAvg that notes when each round has ended, and how many of its clients did not fail."""

    def aggregate_train(self, server_round, replies):
        replies = list(replies)
        aggregated = super().aggregate_train(server_round, replies)
        laps.note(sum(not reply.has_error() for reply in replies))
        return aggregated


@server.main()
def main(grid, context):
    strategy = Timed(
        fraction_train=work.cohort / work.phones,
        fraction_evaluate=0.0,
        min_train_nodes=work.cohort,
        min_available_nodes=work.phones,
    )
    first = ArrayRecord(model_of(work.learning_rate).get_weights())
    laps.note(0)
    strategy.start(grid=grid, initial_arrays=first, num_rounds=work.rounds)


if __name__ == "__main__":
    work, laps = arguments()
    run_simulation(
        server_app=server,
        client_app=client,
        num_supernodes=work.phones,
        # The default gives each client two processors: here one client at a time.
        backend_config={
            "client_resources": {"num_cpus": 1},
            "init_args": {"num_cpus": work.cores, "include_dashboard": False},
        },
    )
