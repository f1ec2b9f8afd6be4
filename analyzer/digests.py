"""What makes two questions the same, and two releases.

Neither depends on what is done with the noisy numbers afterwards. So a release can be answered from
a stored one where only arithmetic, HAVING, ORDER BY, LIMIT or names differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from analyzer.plan import Block
from mechanisms.calibration import Noise


def question_digest(dataset: str, policy_version: str, blocks: Sequence[Block]) -> str:
    """Identifies what is measured: the statements with their parameters, and what their columns
    are. Not with how much noise."""
    return _digest([dataset, policy_version, [_measured(block) for block in blocks]])


def release_digest(question: str, noises: Sequence[Noise], thresholds: Sequence[int | None]) -> str:
    """Identifies what is measured, with its noise and thresholds.

    Args:
        question: of :func:`question_digest`.
        noises: of all draws of all blocks, in order.
        thresholds: one for each block.
    """
    return _digest([question, [[n.kind.value, str(n.scale)] for n in noises], list(thresholds)])


def _measured(block: Block) -> list[object]:
    draws = [
        [d.cells, str(d.tick), d.sensitivity.l1, d.sensitivity.l2_squared] for d in block.draws
    ]
    parts = [[part.cells, part.buckets] for part in block.parts]
    types = [one.value for one in block.key_types]
    return [block.exact.sql, list(map(repr, block.exact.parameters)), types, parts, draws]


def _digest(what: object) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()
