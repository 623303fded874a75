"""Packaging of pocketfed: the repository root is the package."""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
PARTS = ["protocol", "runtime", "model_export", "server", "client", "device_sim", "cli", "paper"]

BASE = [
    "numpy>=2.0",
    "absl-py>=2.1",
    "msgspec>=0.21",
    "httpx>=0.28",
    "rich>=14",
    "backports.zstd>=1.0",
]
SERVER = [
    "flask>=3.1",
    "waitress>=3.0.2",
    "sqlalchemy>=2.0.45",
    "alembic>=1.16",
    "joserfc>=1.5",
    "prometheus-client>=0.22",
    "structlog>=25.1",
]
# The server over several processes and machines.
SCALED = [*SERVER, "gunicorn>=27", "gevent>=25.4", "psycopg[binary]>=3.2", "boto3>=1.40"]
RAY = ["ray>=2.50"]
DEVICES = [
    "ai-edge-litert>=2.1.5",
    "safetensors>=0.5",
    "matplotlib>=3.10",
    "pooch>=1.8",
    "PyYAML>=6",
]
# Curves for TensorBoard, without TensorFlow.
TENSORBOARD = ["tensorboardX>=2.6"]
# In an environment of its own, see docs/tff.md: never part of another extra.
TFF = ["tensorflow-federated==0.87.0; python_version < '3.12'"]
EXPORT = ["tensorflow>=2.21", "ai-edge-litert>=2.1.5", "safetensors>=0.5", "flatbuffers>=24.3"]

DEV = [
    "build>=1.2",
    "hypothesis>=6.130",
    "moto[server]>=5.1",
    "mypy>=1.15",
    "openapi-spec-validator>=0.7",
    "pyright[nodejs]>=1.1.400",
    "pytest>=9",
    "pytest-xdist>=3.6",
    "ruff>=0.11",
    "schemathesis>=4.0",
    "setuptools>=77",
    "tensorboard>=2.20",
]


class BuildWithoutSetup(build_py):
    """This file lies in the package's folder and is none of its modules."""

    def find_package_modules(self, package, package_dir):
        modules = super().find_package_modules(package, package_dir)
        return [module for module in modules if module[1] != "setup"]


setup(
    cmdclass={"build_py": BuildWithoutSetup},
    packages=[
        "pocketfed",
        *(
            f"pocketfed.{package}"
            for package in find_packages(
                str(ROOT), include=[*PARTS, *(part + ".*" for part in PARTS)]
            )
        ),
    ],
    package_dir={"pocketfed": "."},
    package_data={
        "pocketfed": ["LICENSE"],
        "pocketfed.server.web": ["page/templates/*.html", "page/static/*"],
        "pocketfed.device_sim.tff": ["*.txt"],
    },
    install_requires=BASE,
    extras_require={
        "export": EXPORT,
        "server": SERVER,
        "scaled": SCALED,
        "ray": RAY,
        "devices": DEVICES,
        "tensorboard": TENSORBOARD,
        "tff": TFF,
        "dev": DEV,
        "all": sorted({*EXPORT, *SCALED, *RAY, *DEVICES, *TENSORBOARD}),
    },
)
