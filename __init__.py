"""pocketfed: federated learning for phones.

Export a Keras model to a TFLite file that phones can train (``model_export``), average the weight
deltas they send back (``server``), and rehearse all of it with simulated phones (``device_sim``).
What the three must agree on is ``protocol``.
"""

__version__ = "0.1.0"
