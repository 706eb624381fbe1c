# SPDX-License-Identifier: BSD-2-Clause
#
# driver.py TARGET proto|json|grpc none|gzip|deflate SEED START OUT: makes
# spans with the OpenTelemetry SDK, exports them to TARGET (a URL, or host:port
# for gRPC) and writes what the SDK itself holds of them to OUT, one JSON
# object a line (t/lib/Test/Interop.pm describes it).  Ids follow from SEED,
# times from START (seconds).

import base64
import json
import random
import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.common.http import Compression
from opentelemetry.exporter.otlp.json.http import trace_exporter as json_http
from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc_exp
from opentelemetry.exporter.otlp.proto.http import trace_exporter as http_exp
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter)
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode,
    TraceFlags, TraceState)

EXPORT_SECONDS = 10
MANY_SPANS = 600  # more than one request of the batch processor
DEEP_SPANS = 150
SMALL_TRACES = 20

INT64_MAX = 2**63 - 1
INT64_MIN = -2**63

SECOND = 10**9

EVERY_VALUE = {
    'a.text': 'text',
    'a.empty': '',
    'a.unicode': 'Gr\u00fc\u00dfe \u4f60\u597d \U0001f642',
    'a.quotes': '"\\\n\t\u0001</script>',
    'a.\u00fc key': 'key',
    'a.int': 42,
    'a.zero': 0,
    'a.negative': -7,
    'a.exact': 2**53 - 1,
    'a.inexact': 2**53 + 1,
    'a.max': INT64_MAX,
    'a.min': INT64_MIN,
    'a.double': 0.1,
    'a.whole': 3.0,
    'a.no': 0.0,
    'a.minus': -0.0,
    'a.third': -1 / 3,
    'a.tiny': 5e-324,
    'a.huge': sys.float_info.max,
    'a.nan': float('nan'),
    'a.inf': float('inf'),
    'a.-inf': float('-inf'),
    'a.true': True,
    'a.false': False,
    'a.texts': ['x', '', '\u00e4"\n'],
    'a.ints': [1, -2, INT64_MAX, INT64_MIN],
    'a.doubles': [0.5, -1.25, 1e21, 5e-324],
    'a.bools': [True, False],
    'a.none': [],
    'a.bytes': b'\x00\x01\xfe\xff',
    'a.mixed': ['x', -1, True, 0.5, ['deep'], {'n': 1}],
    'a.map': {'text': 't', 'int': 7, 'inner': {'yes': True}},
}


def new_exporter(target, encoding, compression):
    if encoding == 'grpc':
        kinds = {'none': grpc_exp.Compression.NoCompression,
                 'gzip': grpc_exp.Compression.Gzip,
                 'deflate': grpc_exp.Compression.Deflate}
        return grpc_exp.OTLPSpanExporter(
            endpoint=target, insecure=True, timeout=EXPORT_SECONDS,
            compression=kinds[compression])
    module = json_http if encoding == 'json' else http_exp
    return module.OTLPSpanExporter(
        endpoint=target, timeout=EXPORT_SECONDS,
        compression=Compression(compression))


class FailureSeen(SpanExporter):
    """Counts the requests that the exporter could not deliver."""

    def __init__(self, exporter):
        self.exporter = exporter
        self.failures = 0

    def export(self, spans):
        result = self.exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self.failures += 1
        return result

    def shutdown(self):
        self.exporter.shutdown()

    def force_flush(self, timeout_millis=30000):
        return self.exporter.force_flush(timeout_millis)


class Ids(IdGenerator):
    """Ids that follow from the seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def generate_trace_id(self):
        # Ids of old tracers have 64 bits.
        bits = 64 if self.random.randrange(4) == 0 else 128
        return self.random.randrange(1, 2**bits)

    def generate_span_id(self):
        return self.random.randrange(1, 2**64)


# --- spans -------------------------------------------------------------------

def context(trace_id, span_id, flags, state=()):
    return SpanContext(trace_id, span_id, is_remote=True,
                       trace_flags=TraceFlags(flags),
                       trace_state=TraceState(state))


def within(span):
    return trace.set_span_in_context(span)


class Maker:
    def __init__(self, seed, start, shop, store):
        self.seed = seed
        self.start = start * SECOND
        self.front = shop.get_tracer(
            'shop.http', '4.5.6', 'https://opentelemetry.io/schemas/1.36.0')
        self.back = store.get_tracer('lager.db')
        self.plain = store.get_tracer('plain')
        self.scoped = store.get_tracer('lager.scoped',
                                       attributes=EVERY_VALUE)

    def everything(self):
        """Every type of value, every field."""
        caller = context(Ids(f'{self.seed} caller').generate_span_id(),
                         0xb7ad6b7169203331, TraceFlags.SAMPLED,
                         [('rojo', '00f067aa0ba902b7'),
                          ('congo', 't61rcWkgMzE')])
        at = self.start + 123456789
        root = self.front.start_span(
            'GET /warenkorb/{id}', within(NonRecordingSpan(caller)),
            SpanKind.SERVER, {**EVERY_VALUE, 'a.long': 'l' * 20000}, [
                Link(context(2**128 - 1, 2**64 - 1, 0, [('k', 'v')]),
                     {'link.why': 'batch', 'link.n': 3}),
                Link(context(0xabc, 0xdef, TraceFlags.SAMPLED)),
                Link(context(1, 2, TraceFlags.SAMPLED),
                     {'opentracing.ref_type': 'child_of'}),
            ], at)
        root.add_event('cache miss', EVERY_VALUE, at + 1500)
        root.add_event('without attributes', None, at + 999)
        root.add_event('', None, at + 2000)
        root.record_exception(KeyError('no such \u201ccart\u201c'))
        call = self.front.start_span('POST', within(root), SpanKind.CLIENT)
        served = self.back.start_span('INSERT \u00a7', within(call),
                                      SpanKind.SERVER)
        query = self.scoped.start_span('', within(served))
        query.set_status(Status(StatusCode.ERROR, 'dead\nlock'))
        query.end()
        served.set_status(Status(StatusCode.ERROR))
        served.end()
        call.set_status(Status(StatusCode.OK))
        call.update_name('POST /lager')
        call.end()
        sent = self.plain.start_span('send', within(root), SpanKind.PRODUCER)
        sent.end()
        received = self.plain.start_span(
            'receive', within(trace.INVALID_SPAN), SpanKind.CONSUMER,
            links=[Link(sent.get_span_context())])
        received.end()
        root.end()

    def many(self):
        """Several requests, larger than the windows of HTTP/2; a chain and a
        fan in one, times with all digits."""
        root = self.front.start_span('many', start_time=self.start + 1)
        last = root
        for i in range(MANY_SPANS):
            tracer = self.front if i % 3 else self.back
            span = tracer.start_span(
                f'step {i % 17}', within(last if i % 2 else root),
                SpanKind(i % 5),
                {'i': i, 'half': i / 2, 'name': f'n{i}', 'odd': i % 2 == 1,
                 'pad': 'p' * (i % 8 * 1000)},
                start_time=self.start + 1000 + i * 999)
            span.end(self.start + (1 + i % 7) * SECOND + i * 7919 % SECOND)
            if i % 2:
                last = span
        root.end(self.start + 11 * SECOND - 1)

    def deep(self):
        """A chain, children ending first."""
        spans = []
        for level in range(DEEP_SPANS):
            at = self.start + level * 1000000
            spans.append(self.back.start_span(
                f'level {level}', within(spans[-1]) if spans else None,
                start_time=at))
        for level, span in reversed(list(enumerate(spans))):
            span.end(self.start + (2 * DEEP_SPANS - level) * 1000000)

    def small(self):
        """Traces of their own: no, tiny and long durations."""
        durations = [0, 1, 999, 1000, 1001, 60 * SECOND,
                     36 * 3600 * SECOND + 123456789]
        for i in range(SMALL_TRACES):
            duration = durations[i % len(durations)]
            at = self.start - duration + i
            root = self.plain.start_span('small', start_time=at)
            leaf = self.scoped.start_span('leaf', within(root), start_time=at)
            leaf.end(at + duration)
            root.end(at + duration)


# --- what the SDK holds ------------------------------------------------------

def typed(value):
    if value is None:
        return {'type': 'empty', 'value': None}
    if isinstance(value, bool):
        return {'type': 'bool', 'value': value}
    if isinstance(value, int):
        return {'type': 'int64', 'value': str(value)}
    if isinstance(value, float):
        return {'type': 'float64', 'value': repr(value)}
    if isinstance(value, str):
        return {'type': 'string', 'value': value}
    if isinstance(value, bytes):
        return {'type': 'bytes', 'value': base64.b64encode(value).decode()}
    if hasattr(value, 'items'):
        return {'type': 'kvlist',
                'value': [[k, typed(v)] for k, v in value.items()]}
    return {'type': 'array', 'value': [typed(v) for v in value]}


def typed_all(attributes):
    return {k: typed(v) for k, v in (attributes or {}).items()}


def plain_span(span):
    # No flags: of them the exporters only send whether the parent is remote.
    sc, scope = span.context, span.instrumentation_scope
    return {
        'traceId': f'{sc.trace_id:032x}',
        'spanId': f'{sc.span_id:016x}',
        'parentId': f'{span.parent.span_id:016x}' if span.parent else '',
        'traceState': sc.trace_state.to_header(),
        'name': span.name,
        'kind': span.kind.name.lower(),
        'startNs': str(span.start_time),
        'endNs': str(span.end_time),
        'attributes': typed_all(span.attributes),
        'events': [{'name': e.name, 'timeNs': str(e.timestamp),
                    'attributes': typed_all(e.attributes)}
                   for e in span.events],
        'links': [{'traceId': f'{link.context.trace_id:032x}',
                   'spanId': f'{link.context.span_id:016x}',
                   'attributes': typed_all(link.attributes)}
                  for link in span.links],
        'status': span.status.status_code.name,
        'message': span.status.description or '',
        'resource': typed_all(span.resource.attributes),
        'scope': scope.name,
        'scopeVersion': scope.version or '',
        'scopeAttributes': typed_all(scope.attributes),
    }


def main(target, encoding, compression, seed, start, out):
    memory = InMemorySpanExporter()
    exporter = FailureSeen(new_exporter(target, encoding, compression))
    ids = Ids(seed)

    def provider(attributes):
        made = TracerProvider(
            resource=Resource(attributes,
                              'https://opentelemetry.io/schemas/1.37.0'),
            id_generator=ids, shutdown_on_exit=False,
            span_limits=SpanLimits(max_span_attributes=128))
        made.add_span_processor(SimpleSpanProcessor(memory))
        made.add_span_processor(BatchSpanProcessor(
            exporter, max_queue_size=8192, max_export_batch_size=256))
        return made

    shop = provider({**EVERY_VALUE, 'service.name': f'py-shop-{seed}',
                     'service.version': '1.2.3'})
    store = provider({'service.name': f'py-lager-\u00fc\U0001f4e6-{seed}'})
    maker = Maker(seed, start, shop, store)
    maker.everything()
    maker.many()
    maker.deep()
    maker.small()
    with open(out, 'w', encoding='utf-8') as file:
        for span in memory.get_finished_spans():
            print(json.dumps(plain_span(span)), file=file)
    for made in shop, store:
        made.force_flush()
    for made in shop, store:
        made.shutdown()
    return 1 if exporter.failures else 0


if __name__ == '__main__':
    if len(sys.argv) != 7:
        sys.exit('usage: driver.py TARGET proto|json|grpc none|gzip|deflate '
                 'SEED START OUT')
    sys.exit(main(*sys.argv[1:5], int(sys.argv[5]), sys.argv[6]))
