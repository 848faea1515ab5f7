"""What a training run came to, in a sentence."""

from collections.abc import Mapping
from typing import Any


def verdict(results: Mapping[str, Any]) -> str:
    """What a run came to beside what it must beat; it begins with a verb."""
    if results["model"] == "denoiser":
        errors = results["average"]
        rivals = f"{errors['noisy']:.4f} of the noisy picture itself and {errors['mean']:.4f} of the mean picture"
        told = f"squared error over all steps {errors['model']:.4f}, beside {rivals}"
    else:
        losses = results["losses"]
        rivals = f"{losses['bigram']:.2f} of counts of pairs and {losses['unigram']:.2f} of counts of words"
        told = f"{losses['model']:.2f} nats a word, beside {rivals}"
    return f"{'beats' if results['beats'] else 'does not beat'} what stands beside it: {told}"
