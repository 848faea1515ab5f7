"""Steps that workers elsewhere take on only where they run what the caller runs.

A worker may join a cluster, or start anew, long after others were tried: with another version it would write other
bytes under the same fingerprint. So each step is sent as a guard and, within it, the step: the guard goes as source,
which any interpreter can run whatever it has installed, and no module of ours is loaded for the step before. Elsewhere
it becomes a step that fails at its first element, not as it is loaded or set up: a Python worker connects for its data
after that, and Flink waits three minutes for it before it says anything, and then not why.
"""

from collections.abc import Mapping
from typing import Any

import apache_beam as beam
from apache_beam.internal import pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.runner import PipelineResult
from google.protobuf import wrappers_pb2

from pipelines.identity import Identity, identity
from pipelines.runners import Runner

_GUARD = """\
import platform
import apache_beam
from apache_beam.internal import pickler
try:
    from pipelines.identity import difference
    said = difference(wanted)
except ImportError as error:
    said = f"has another Seedbed than the machine that began the build, or none ({error})"

class Refusing(getattr(apache_beam, kind)):
    def refuse(self):
        # The caller knows it by its name for one that another try does not mend: there may be no class of ours here.
        told = f"worker {platform.node()} {said}; install the same Seedbed, with the same libraries, on every worker"
        raise type("StageError", (Exception,), {})(told)
    def process(self, element):
        self.refuse()
    def create_accumulator(self):
        self.refuse()
    def merge_accumulators(self, accumulators):
        self.refuse()
    def extract_output(self, accumulator):
        self.refuse()

if not said:
    opened = pickler.loads(step)
else:
    opened = (Refusing(), (), {}, [], None) if kind == "DoFn" else Refusing()
"""
_OPEN = "(exec(guard), opened)[1]"

_COMBINES = frozenset(
    {
        common_urns.composites.COMBINE_GLOBALLY.urn,
        common_urns.composites.COMBINE_PER_KEY.urn,
        common_urns.combine_components.COMBINE_GROUPED_VALUES.urn,
    }
)


def guarded_pipeline(where: Runner, **options: object) -> beam.Pipeline:
    """An empty pipeline for a job service, whose workers are started by pools of theirs; with options of Beam's."""
    workers = {"environment_type": "EXTERNAL", "environment_config": where.worker_pool}
    told = PipelineOptions(flags=[], job_endpoint=where.job_service, **workers, **options)
    return beam.Pipeline(runner=GuardedRunner(), options=told)


class GuardedRunner(PortableRunner):
    """Beam's portable runner, whose workers compare what they run with this process before they load a step."""

    def run_portable_pipeline(self, pipeline: beam_runner_api_pb2.Pipeline, options: PipelineOptions) -> PipelineResult:
        """Hands a pipeline in, all of whose steps are guarded."""
        guard_steps(pipeline, identity())
        return super().run_portable_pipeline(pipeline, options)


def guard_steps(pipeline: beam_runner_api_pb2.Pipeline, wanted: Identity) -> None:
    """Puts a guard round each function of a graph: who loads it must run what is wanted."""
    for transform in pipeline.components.transforms.values():
        if transform.spec.urn == common_urns.primitives.PAR_DO.urn:
            _guard_do(transform.spec, wanted)
        elif transform.spec.urn in _COMBINES:
            _guard_combine(transform.spec, wanted)


def guarded(step: bytes, wanted: Identity, kind: str = "DoFn") -> bytes:
    """A step, as Beam pickles it, that becomes another, which fails, where something else than `wanted` is run.

    Args:
        step: a pickled function of Beam's.
        wanted: what the worker must run.
        kind: the class in Beam of what the function is, "DoFn" or "CombineFn".
    """
    packed: bytes = pickler.dumps(_Guarded({"guard": _GUARD, "wanted": dict(wanted), "step": step, "kind": kind}))
    return packed


class _Guarded:
    """What unpickles as a guard that is run, and then as the step."""

    def __init__(self, known: Mapping[str, object]) -> None:
        self._known = known

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (_OPEN, {"__name__": "__main__", **self._known})  # what is made there is pickled whole once more


def _guard_do(spec: beam_runner_api_pb2.FunctionSpec, wanted: Identity) -> None:
    payload = beam_runner_api_pb2.ParDoPayload.FromString(spec.payload)
    if payload.do_fn.urn == python_urns.PICKLED_DOFN_INFO:
        payload.do_fn.payload = guarded(payload.do_fn.payload, wanted)
        spec.payload = payload.SerializeToString()


def _guard_combine(spec: beam_runner_api_pb2.FunctionSpec, wanted: Identity) -> None:
    payload = beam_runner_api_pb2.CombinePayload.FromString(spec.payload)
    if payload.combine_fn.urn == python_urns.PICKLED_COMBINE_FN:
        step = wrappers_pb2.BytesValue.FromString(payload.combine_fn.payload)
        step.value = guarded(step.value, wanted, "CombineFn")
        payload.combine_fn.payload = step.SerializeToString()
        spec.payload = payload.SerializeToString()
