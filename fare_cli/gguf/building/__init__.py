"""Makes GGUF files that judge out of checkpoints in safetensors."""

from fare_cli.gguf.building.build import BuildOptions, build

__all__ = ["BuildOptions", "build"]
