"""Weight files: where they are kept (``store``), where they come from (``local``, ``download``, ``packages``, ``archives``), how they are checked."""
