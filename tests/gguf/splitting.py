"""Cuts a GGUF into parts the way llama.cpp's gguf-split does: all metadata in the first, tensors spread over all."""

from __future__ import annotations

from pathlib import Path

from gguf import GGUFReader, GGUFValueType, GGUFWriter

from fare_cli.gguf.split import part_file_names


def write_split(source: Path, folder: Path, name: str, count: int) -> list[Path]:
    """The paths of the parts of `source`, written into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    reader = GGUFReader(source)
    paths = [folder / part for part in part_file_names(name, count)]
    for number, path in enumerate(paths):
        architecture = str(reader.fields["general.architecture"].contents())
        writer = GGUFWriter(path, architecture)
        if number:
            # The parts after the first have no other metadata, not even the architecture.
            writer.kv_data[0].clear()
        else:
            _copy_metadata(reader, writer)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", count)
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for tensor in reader.tensors[number::count]:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return paths


def _copy_metadata(reader: GGUFReader, writer: GGUFWriter) -> None:
    for field in reader.fields.values():
        if field.name == "general.architecture" or field.name.startswith("GGUF."):
            continue
        inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=inner)
