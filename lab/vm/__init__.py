"""Virtual machines of Debian's own kernels, in which the lab is brought up, used and taken down."""
