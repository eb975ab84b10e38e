"""Checkpoint folders as files: read strictly, streamed in blocks, written whole or not at all."""
