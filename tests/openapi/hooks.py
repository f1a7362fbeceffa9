"""Describes the organisation to schemathesis; tests/the_interface_keeps_its_own_document.rs starts it.

Nothing is left out and no check is weakened. Parameters that are valid by the document are mapped to existing values, so that responses
have contents: half of the texts, and every number that names something. In all requests `wait_for` is mapped to positions that have been
reached: a later position would get 503 with Retry-After, which is correct, but schemathesis counts it as a server error.
"""

import json
import os
import zlib

import schemathesis

KNOWN = json.loads(os.environ["SCRIP_KNOWN"])


def whole(value):
    """The value of a parameter as a number, or None."""
    text = str(value)
    return int(text) if not isinstance(value, bool) and text.isascii() and text.isdigit() else None


def folded(parameters):
    """The parameters, with ids mapped to existing ones."""
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
