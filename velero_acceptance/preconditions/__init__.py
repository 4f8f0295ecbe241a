"""`acceptance doctor`: what a target has, and which rows can run there. It reads, and writes nothing."""
