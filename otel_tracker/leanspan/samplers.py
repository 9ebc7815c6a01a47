"""How a sampler of the SDK's decides, as a bound that trace ids are compared with; written against SDK 1.45.

Private to the SDK and used here: ``_decision`` of a static sampler; ``_root``, ``_remote_parent_sampled`` and the other
delegates of one that follows the parent. Any other sampler, and one with a method of its own, has to be asked.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import sampling

NEVER, ALWAYS = 0, 1 << 64
"""Bounds of `sampling_bound`: no trace id lies below the first, every one below the second."""


def sampling_bound(sampler: sampling.Sampler) -> int | None:
    """What the low 64 bits of a trace id must be below to be sampled; None for a sampler that has to be asked.

    https://opentelemetry.io/docs/specs/otel/trace/sdk/#traceidratiobased; the SDK's static samplers are its extremes.
    """
    if "should_sample" in vars(sampler):
        return None
    if type(sampler) is sampling.StaticSampler:
        answers = {sampling.Decision.DROP: NEVER, sampling.Decision.RECORD_AND_SAMPLE: ALWAYS}
        return answers.get(sampler._decision)
    if type(sampler) is sampling.TraceIdRatioBased:
        return sampler.bound
    return None


def sampling_delegates(sampler: sampling.Sampler) -> tuple[sampling.Sampler, ...]:
    """Who decides for a root, and for a child of a parent that is remote and sampled, remote and not, local both."""
    is_known = type(sampler) in (sampling.ParentBased, sampling.ParentBasedTraceIdRatio)
    if not is_known or "should_sample" in vars(sampler):
        return (sampler,) * 5
    parent_based: Any = sampler
    return (
        parent_based._root,
        parent_based._remote_parent_sampled,
        parent_based._remote_parent_not_sampled,
        parent_based._local_parent_sampled,
        parent_based._local_parent_not_sampled,
    )
