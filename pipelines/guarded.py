"""Steps that workers elsewhere take on only where they run what the caller runs.

A worker may join a cluster, or start anew, long after others were tried: with another version it would write other
bytes under the same fingerprint. So each step is sent as a guard and, within it, the step: the guard goes as source,
which any interpreter can run whatever it has installed, and no module of ours is loaded for the step before.
"""

from typing import Any

from apache_beam.internal import pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.runner import PipelineResult

from pipelines.identity import Identity, identity

# It is the name of the error that tells the caller that trying again is of no use: there may be no class of ours.
_GUARD = """\
try:
    from pipelines.identity import check
except ImportError as error:
    import platform
    raise type("StageError", (Exception,), {"__module__": "builtins"})(
        f"worker {platform.node()} has another Seedbed than the machine that began the build, or none ({error}); "
        "install the same Seedbed, with the same libraries, on every worker"
    ) from None
check(wanted)
"""
_OPEN = "(exec(guard), __import__('apache_beam.internal.pickler', fromlist=['loads']).loads(step))[1]"

_COMBINES = frozenset(
    {
        common_urns.composites.COMBINE_GLOBALLY.urn,
        common_urns.composites.COMBINE_PER_KEY.urn,
        common_urns.combine_components.COMBINE_GROUPED_VALUES.urn,
    }
)
_PICKLED = frozenset({python_urns.PICKLED_DOFN_INFO, python_urns.PICKLED_COMBINE_FN})


class GuardedRunner(PortableRunner):
    """Beam's portable runner, whose workers compare what they run with this process before they load a step."""

    def run_portable_pipeline(self, pipeline: beam_runner_api_pb2.Pipeline, options: PipelineOptions) -> PipelineResult:
        """Hands a pipeline in, all of whose steps are guarded."""
        guard_steps(pipeline)
        return super().run_portable_pipeline(pipeline, options)


def guard_steps(pipeline: beam_runner_api_pb2.Pipeline) -> None:
    """Puts a guard round each function of a graph that workers are to load."""
    for transform in pipeline.components.transforms.values():
        payload, step = _step_of(transform.spec)
        if payload is not None and step.urn in _PICKLED:
            step.payload = guarded(step.payload, identity())
            transform.spec.payload = payload.SerializeToString()


def guarded(step: bytes, wanted: Identity) -> bytes:
    """A step, as Beam pickles it, that no interpreter unpickles which runs something else than `wanted`."""
    packed: bytes = pickler.dumps(_Guarded(step, wanted))
    return packed


class _Guarded:
    """What unpickles as a guard that is run, and then as the step."""

    def __init__(self, step: bytes, wanted: Identity) -> None:
        self._known = {"guard": _GUARD, "wanted": dict(wanted), "step": step}

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (_OPEN, self._known)


def _step_of(spec: beam_runner_api_pb2.FunctionSpec) -> tuple[Any, Any]:
    """What a transform says of itself and, within that, the function that workers are to load; None of others."""
    if spec.urn == common_urns.primitives.PAR_DO.urn:
        payload = beam_runner_api_pb2.ParDoPayload.FromString(spec.payload)
        return payload, payload.do_fn
    if spec.urn in _COMBINES:
        payload = beam_runner_api_pb2.CombinePayload.FromString(spec.payload)
        return payload, payload.combine_fn
    return None, None
