"""The pure HTTP core: bytes to exchanges and back, without I/O, clock, threads or settings."""
