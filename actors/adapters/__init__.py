"""One module per vendor and port, named `<vendor>_<port>.py`; only that module imports the vendor."""
