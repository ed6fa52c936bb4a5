"""What finished results say of themselves, and whether it still holds. Never counts for results."""
