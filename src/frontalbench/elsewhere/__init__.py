"""Images made elsewhere: photographs handed out, results taken in, from a folder to its row in the tables (docs/elsewhere.md)."""
