"""One module per arrow of ``docs/architecture.md``: read a shard, call the library, write a shard."""
