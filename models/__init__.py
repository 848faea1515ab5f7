"""Trainers and samplers: a denoiser that grows trees out of static, and a language model that continues text."""
