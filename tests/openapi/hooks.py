"""What schemathesis is told of the organisation it asks about; tests/the_interface_keeps_its_own_document.rs starts it.

Nothing is left out and no check is weaker for it. Parameters that are valid by the document are folded onto what there is, so that answers
have something in them: half of the texts, and every number that names something. `wait_for` is folded onto positions that have come, in
all requests: one that never comes is answered with 503 and Retry-After, which says what it should, and counts as an error of the server.
"""

import json
import os
import zlib

import schemathesis

KNOWN = json.loads(os.environ["SCRIP_KNOWN"])


def whole(value):
    """The number that a parameter is, or none."""
    text = str(value)
    return int(text) if not isinstance(value, bool) and text.isascii() and text.isdigit() else None


def folded(parameters):
    """Ids as they are, by what they name."""
    result = dict(parameters)
    for name, value in parameters.items():
        known, number = KNOWN.get(name), whole(value)
        if known and number is not None and name not in ("client", "code"):
            result[name] = known[number % len(known)]
        elif known and isinstance(value, str):
            draw = zlib.crc32(value.encode("utf-8", "surrogatepass"))
            if draw % 2:
                result[name] = known[(draw >> 1) % len(known)]
    return result


@schemathesis.hook
def before_call(context, case, kwargs):
    query = case.query
    if isinstance(query, dict):
        position = whole(query.get("wait_for"))
        if position is not None and position < 1 << 63:
            case.query = {**query, "wait_for": position % (KNOWN["position"] + 1)}
    meta = case.meta
    if meta is not None and meta.generation.mode.is_positive:
        if case.path_parameters:
            case.path_parameters = folded(case.path_parameters)
        if isinstance(case.query, dict):
            case.query = folded(case.query)
