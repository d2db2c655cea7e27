"""The local engine: continuous batching of asks over llama.cpp, in this process."""
