"""Makes GGUF files that judge out of checkpoints in safetensors."""

from fare_cli.gguf.building.build import BuildOptions, build
from fare_cli.gguf.building.making import Importance

__all__ = ["BuildOptions", "Importance", "build"]
