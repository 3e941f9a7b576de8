"""What a node is: node sets, granularity, framing and short-time Fourier transform, labels."""
