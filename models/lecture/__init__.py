"""The lecture, replayed: each idea on the way to a denoiser and a language model, small and honest, side by side."""
