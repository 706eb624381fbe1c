// SPDX-License-Identifier: BSD-2-Clause
//
// node driver.mjs TARGET proto|json|grpc none|gzip SEED START OUT: makes spans
// with the OpenTelemetry SDK, exports them to TARGET (a URL, or host:port for
// gRPC) and writes what the SDK itself holds of them to OUT, one JSON object a
// line (t/lib/Test/Interop.pm describes it).  Ids follow from SEED, times from
// START (seconds).

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import {
  ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, createTraceState, trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter as GrpcExporter }
  from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as JsonExporter }
  from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtoExporter }
  from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BasicTracerProvider, BatchSpanProcessor, InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';

const [target, encoding, compression, seed, startText, out]
  = process.argv.slice(2);
const Exporter = {
  proto: ProtoExporter, json: JsonExporter, grpc: GrpcExporter,
}[encoding];
if (!Exporter || !out) {
  console.error('usage: node driver.mjs TARGET proto|json|grpc none|gzip SEED '
    + 'START OUT');
  process.exit(2);
}
const start = Number(startText);
const manySpans = 600; // more than one request of the batch processor

class FailureSeen {
  constructor(exporter) {
    this.exporter = exporter;
    this.errors = [];
  }

  export(spans, done) {
    this.exporter.export(spans, (result) => {
      if (result.code !== 0) this.errors.push(String(result.error));
      done(result);
    });
  }

  shutdown() { return this.exporter.shutdown(); }

  forceFlush() { return this.exporter.forceFlush(); }
}

const memory = new InMemorySpanExporter();
const exporter = new FailureSeen(new Exporter({
  url: encoding === 'grpc' ? `http://${target}` : target,
  timeoutMillis: 10000,
  compression,
}));

// Bytes that follow from the seed: SHA-256 of it and a counter.
let idCount = 0;
function hexId(bytes) {
  idCount += 1;
  return createHash('sha256').update(`${seed} ${idCount}`).digest('hex')
    .slice(0, 2 * bytes);
}
const idGenerator = {
  generateTraceId: () => hexId(16), generateSpanId: () => hexId(8),
};

function provider(attributes) {
  return new BasicTracerProvider({
    idGenerator,
    resource: resourceFromAttributes(attributes),
    spanProcessors: [
      new SimpleSpanProcessor(memory),
      new BatchSpanProcessor(exporter, {
        maxExportBatchSize: 256, maxQueueSize: 8192,
      }),
    ],
  });
}

const shop = provider({
  'service.name': `js-shop-${seed}`,
  'service.version': '1.2.3',
  'host.cpus': 8,
  'host.load': 0.25,
  'host.is_virtual': true,
  'host.ip': ['10.0.0.1', '::1'],
});
const store = provider({ 'service.name': `js-lager-\u00fc\u{1f4e6}-${seed}` });
const front = shop.getTracer('shop.http', '4.5.6');
const back = store.getTracer('lager.db');
const plain = store.getTracer('');

const within = (span) => trace.setSpan(ROOT_CONTEXT, span);

// Every type of value, every field.
function everything() {
  const caller = trace.wrapSpanContext({
    traceId: `${'0'.repeat(16)}${hexId(8)}`,
    spanId: 'b7ad6b7169203331',
    traceFlags: TraceFlags.SAMPLED,
    isRemote: true,
    traceState: createTraceState('rojo=00f067aa0ba902b7,congo=t61rcWkgMzE'),
  });
  const root = front.startSpan('GET /warenkorb/{id}', {
    kind: SpanKind.SERVER,
    startTime: [start, 123456789],
    attributes: {
      'a.text': 'text', 'a.empty': '', 'a.unicode': 'Gr\u00fc\u00dfe \u4f60\u597d \u{1f642}',
      'a.quotes': '"\\\n\t\u0001</script>', 'a.int': 42, 'a.zero': 0,
      'a.negative': -7, 'a.max': Number.MAX_SAFE_INTEGER,
      'a.min': Number.MIN_SAFE_INTEGER, 'a.double': 0.1, 'a.tiny': 5e-324,
      'a.third': -1 / 3, 'a.large': 123456789.125, 'a.true': true,
      'a.false': false, 'a.texts': ['x', '', '\u00e4'],
      'a.ints': [1, -2, 3000000000], 'a.doubles': [0.5, 1.25],
      'a.bools': [true, false], 'a.none': [], 'a.long': 'l'.repeat(20000),
    },
    links: [
      {
        context: {
          traceId: 'ffffffffffffffffffffffffffffffff',
          spanId: 'ffffffffffffffff', traceFlags: TraceFlags.NONE,
        },
        attributes: { 'link.why': 'batch', 'link.n': 3 },
      },
      {
        context: {
          traceId: '00000000000000000000000000000abc',
          spanId: '0000000000000def', traceFlags: TraceFlags.SAMPLED,
        },
      },
    ],
  }, within(caller));
  root.addEvent('cache miss', { key: 'cart:7', tries: 2, ratio: 0.5, hot: true });
  root.addEvent('without attributes');
  root.recordException(new RangeError('no such \u201ecart\u201c'));
  const call = front.startSpan('POST', { kind: SpanKind.CLIENT }, within(root));
  const served = back.startSpan('INSERT \u00a7', { kind: SpanKind.SERVER },
    within(call));
  const query = back.startSpan('', { kind: SpanKind.INTERNAL }, within(served));
  query.setStatus({ code: SpanStatusCode.ERROR, message: 'dead\nlock' });
  query.end();
  served.setStatus({ code: SpanStatusCode.ERROR });
  served.end();
  call.setStatus({ code: SpanStatusCode.OK });
  call.updateName('POST /lager');
  call.end();
  const sent = plain.startSpan('send', { kind: SpanKind.PRODUCER }, within(root));
  sent.end();
  const received = plain.startSpan('receive', {
    kind: SpanKind.CONSUMER, root: true,
    links: [{ context: sent.spanContext() }],
  });
  received.end();
  root.end();
}

// Several requests; a chain, a fan and times with all digits.
function many() {
  const root = front.startSpan('many', { startTime: [start, 1] });
  let parent = root;
  for (let i = 0; i < manySpans; i += 1) {
    const span = (i % 3 ? front : back).startSpan(`step ${i % 17}`, {
      kind: i % 5,
      startTime: [start, 1000 + i * 999],
      attributes: { i, half: i / 2, name: `n${i}`, odd: i % 2 === 1 },
    }, within(i % 2 ? parent : root));
    span.end([start + 1 + (i % 7), (i * 7919) % 1000000000]);
    if (i % 2) parent = span;
  }
  root.end([start + 10, 999999999]);
}

// The type that the exporters choose.
function value(v) {
  if (Array.isArray(v)) return { type: 'array', value: v.map(value) };
  if (typeof v === 'number') {
    return Number.isInteger(v)
      ? { type: 'int64', value: BigInt(v).toString() }
      : { type: 'float64', value: String(v) };
  }
  return { type: typeof v === 'boolean' ? 'bool' : 'string', value: v };
}

const attributes = (map) => Object.fromEntries(
  Object.entries(map).map(([k, v]) => [k, value(v)]));
const ns = ([s, n]) => (BigInt(s) * 1000000000n + BigInt(n)).toString();

function plainSpan(span) {
  const context = span.spanContext();
  return {
    traceId: context.traceId,
    spanId: context.spanId,
    parentId: span.parentSpanContext ? span.parentSpanContext.spanId : '',
    traceState: context.traceState ? context.traceState.serialize() : '',
    flags: context.traceFlags,
    name: span.name,
    kind: SpanKind[span.kind].toLowerCase(),
    startNs: ns(span.startTime),
    endNs: ns(span.endTime),
    attributes: attributes(span.attributes),
    events: span.events.map((e) => ({
      name: e.name, timeNs: ns(e.time), attributes: attributes(e.attributes || {}),
    })),
    links: span.links.map((l) => ({
      traceId: l.context.traceId, spanId: l.context.spanId,
      attributes: attributes(l.attributes || {}),
    })),
    status: SpanStatusCode[span.status.code],
    message: span.status.message || '',
    resource: attributes(span.resource.attributes),
    scope: span.instrumentationScope.name,
    scopeVersion: span.instrumentationScope.version || '',
  };
}

everything();
many();
const lines = memory.getFinishedSpans()
  .map((span) => `${JSON.stringify(plainSpan(span))}\n`);
writeFileSync(out, lines.join(''));
// The first shutdown is the exporter's, too.
await shop.forceFlush();
await store.forceFlush();
await shop.shutdown();
await store.shutdown();
for (const error of exporter.errors) console.error(error);
process.exit(exporter.errors.length > 0 ? 1 : 0);
