"""Foreign systems in their own environment: the contract of files between a job of ours and an adapter, and what is made of its answer
(docs/external.md). Nothing foreign is imported here: it runs as another process, and what it leaves behind is data."""
