"""Workers do the local training and measuring of simulated phones, wherever that is.

A phone hands out a job and collects it when it reports; what comes of a job follows from the job
alone, so neither the place nor the number of workers changes a run.
"""

from .choice import count_of, workers_of
from .contract import Workers
from .inline import Inline
from .jobs import Done, Job
from .processes import Processes
from .ray_actors import RayActors

__all__ = [
    "Done",
    "Inline",
    "Job",
    "Processes",
    "RayActors",
    "Workers",
    "count_of",
    "workers_of",
]
