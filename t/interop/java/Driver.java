// SPDX-License-Identifier: BSD-2-Clause
//
// Driver TARGET proto|grpc none|gzip SEED START OUT: makes spans with the
// OpenTelemetry SDK, exports them to TARGET (a URL, or host:port for gRPC)
// and writes what the SDK itself holds of them to OUT, one JSON object a line
// (t/lib/Test/Interop.pm describes it).  Ids follow from SEED, times from
// START (seconds).

import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.common.KeyValue;
import io.opentelemetry.api.common.Value;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanBuilder;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.TraceFlags;
import io.opentelemetry.api.trace.TraceState;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.testing.exporter.InMemorySpanExporter;
import io.opentelemetry.sdk.trace.IdGenerator;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

final class Driver {
    private static final long EXPORT_SECONDS = 10;
    private static final long FLUSH_SECONDS = 40;
    private static final int MANY_SPANS = 600; // more than one request
    private static final int DEEP_SPANS = 150;
    private static final int SMALL_TRACES = 20;
    private static final long SECOND = 1_000_000_000L;
    private static final TimeUnit NS = TimeUnit.NANOSECONDS;

    private static final Attributes EVERY_VALUE = Attributes.builder()
        .put("a.text", "text")
        .put("a.empty", "")
        .put("a.unicode",
            "Gr\u00fc\u00dfe \u4f60\u597d \ud83d\ude42")
        .put("a.quotes", "\"\\\n\t\u0001</script>")
        .put("a.\u00fc key", "key")
        .put("a.int", 42L)
        .put("a.zero", 0L)
        .put("a.negative", -7L)
        .put("a.exact", (1L << 53) - 1)
        .put("a.inexact", (1L << 53) + 1)
        .put("a.max", Long.MAX_VALUE)
        .put("a.min", Long.MIN_VALUE)
        .put("a.double", 0.1)
        .put("a.whole", 3.0)
        .put("a.no", 0.0)
        .put("a.minus", -0.0)
        .put("a.third", -1.0 / 3)
        .put("a.tiny", Double.MIN_VALUE)
        .put("a.huge", Double.MAX_VALUE)
        .put("a.nan", Double.NaN)
        .put("a.inf", Double.POSITIVE_INFINITY)
        .put("a.-inf", Double.NEGATIVE_INFINITY)
        .put("a.true", true)
        .put("a.false", false)
        .put("a.texts", "x", "", "\u00e4\"\n")
        .put("a.ints", 1L, -2L, Long.MAX_VALUE, Long.MIN_VALUE)
        .put("a.doubles", 0.5, -1.25, 1e21, Double.MIN_VALUE)
        .put("a.bools", true, false)
        .put(AttributeKey.stringArrayKey("a.none"), List.of())
        .put(AttributeKey.valueKey("a.bytes"),
            Value.of(new byte[] {0, 1, (byte) 0xfe, (byte) 0xff}))
        .put(AttributeKey.valueKey("a.mixed"),
            Value.of(Value.of("x"), Value.of(-1L), Value.of(true),
                Value.of(0.5), Value.of(List.of(Value.of("deep"))),
                Value.of(KeyValue.of("n", Value.of(1L)))))
        .put(AttributeKey.valueKey("a.map"),
            Value.of(KeyValue.of("text", Value.of("t")),
                KeyValue.of("int", Value.of(7L)),
                KeyValue.of("inner",
                    Value.of(KeyValue.of("yes", Value.of(true))))))
        .build();

    private final String seed;
    private final long start;
    private final Tracer front;
    private final Tracer back;
    private final Tracer plain;

    private Driver(String seed, long start, SdkTracerProvider shop,
        SdkTracerProvider store) {
        this.seed = seed;
        this.start = start * SECOND;
        front = shop.tracerBuilder("shop.http")
            .setInstrumentationVersion("4.5.6")
            .setSchemaUrl("https://opentelemetry.io/schemas/1.36.0").build();
        back = store.get("lager.db");
        plain = store.get("plain");
    }

    private static SpanExporter newExporter(String target, String encoding,
        String compression) {
        if (encoding.equals("grpc")) {
            return OtlpGrpcSpanExporter.builder()
                .setEndpoint("http://" + target).setCompression(compression)
                .setTimeout(EXPORT_SECONDS, TimeUnit.SECONDS).build();
        }
        return OtlpHttpSpanExporter.builder()
            .setEndpoint(target).setCompression(compression)
            .setTimeout(EXPORT_SECONDS, TimeUnit.SECONDS).build();
    }

    /** Counts the requests that the exporter could not deliver. */
    private static final class FailureSeen implements SpanExporter {
        private final SpanExporter exporter;
        private final AtomicInteger failures = new AtomicInteger();

        FailureSeen(SpanExporter exporter) {
            this.exporter = exporter;
        }

        @Override
        public CompletableResultCode export(Collection<SpanData> spans) {
            CompletableResultCode result = exporter.export(spans);
            result.whenComplete(() -> {
                if (!result.isSuccess()) {
                    failures.incrementAndGet();
                }
            });
            return result;
        }

        @Override
        public CompletableResultCode flush() {
            return exporter.flush();
        }

        @Override
        public CompletableResultCode shutdown() {
            return exporter.shutdown();
        }
    }

    /** Ids that follow from the seed. */
    private static final class Ids implements IdGenerator {
        private final Random random;

        Ids(String seed) {
            random = new Random(seed.hashCode());
        }

        @Override
        public String generateSpanId() {
            return String.format("%016x", random.nextLong() | 1);
        }

        @Override
        public String generateTraceId() {
            // Ids of old tracers have 64 bits.
            return random.nextInt(4) == 0
                ? "0".repeat(16) + generateSpanId()
                : generateSpanId() + generateSpanId();
        }
    }

    // --- spans ---

    private static Context within(Span span) {
        return Context.root().with(span);
    }

    private static SpanContext context(String traceId, String spanId,
        TraceFlags flags, TraceState state) {
        return SpanContext.createFromRemoteParent(traceId, spanId, flags,
            state);
    }

    private SpanBuilder links(SpanBuilder builder) {
        return builder
            .addLink(context("f".repeat(32), "f".repeat(16),
                TraceFlags.getDefault(),
                TraceState.builder().put("k", "v").build()),
                Attributes.builder().put("link.why", "batch")
                    .put("link.n", 3).build())
            .addLink(context("0".repeat(29) + "abc", "0".repeat(13) + "def",
                TraceFlags.getSampled(), TraceState.getDefault()))
            .addLink(context("1".repeat(32), "2".repeat(16),
                TraceFlags.getSampled(), TraceState.getDefault()),
                Attributes.builder().put("opentracing.ref_type", "child_of")
                    .build());
    }

    /** Every type of value, every field. */
    private void everything() {
        SpanContext caller = context(
            "0".repeat(16) + new Ids(seed + " caller").generateSpanId(),
            "b7ad6b7169203331", TraceFlags.getSampled(),
            TraceState.builder().put("rojo", "00f067aa0ba902b7")
                .put("congo", "t61rcWkgMzE").build());
        long at = start + 123456789;
        Span root = links(front.spanBuilder("GET /warenkorb/{id}"))
            .setParent(within(Span.wrap(caller)))
            .setSpanKind(SpanKind.SERVER).setAllAttributes(EVERY_VALUE)
            .setAttribute("a.long", "l".repeat(20000))
            .setStartTimestamp(at, NS).startSpan();
        root.addEvent("cache miss", EVERY_VALUE, at + 1500, NS);
        root.addEvent("without attributes", at + 999, NS);
        root.addEvent("", at + 2000, NS);
        root.recordException(
            new IllegalStateException("no such \u201ccart\u201c"));
        Span call = front.spanBuilder("POST").setParent(within(root))
            .setSpanKind(SpanKind.CLIENT).startSpan();
        Span served = back.spanBuilder("INSERT \u00a7")
            .setParent(within(call)).setSpanKind(SpanKind.SERVER)
            .startSpan();
        Span query = plain.spanBuilder("").setParent(within(served))
            .startSpan();
        query.setStatus(StatusCode.ERROR, "dead\nlock");
        query.end();
        served.setStatus(StatusCode.ERROR);
        served.end();
        call.setStatus(StatusCode.OK);
        call.updateName("POST /lager");
        call.end();
        Span sent = plain.spanBuilder("send").setParent(within(root))
            .setSpanKind(SpanKind.PRODUCER).startSpan();
        sent.end();
        plain.spanBuilder("receive").setNoParent()
            .setSpanKind(SpanKind.CONSUMER).addLink(sent.getSpanContext())
            .startSpan().end();
        root.end();
    }

    /**
     * Several requests, larger than the windows of HTTP/2; a chain and a fan
     * in one, times with all digits.
     */
    private void many() {
        Span root = front.spanBuilder("many").setNoParent()
            .setStartTimestamp(start + 1, NS).startSpan();
        Span last = root;
        for (int i = 0; i < MANY_SPANS; i++) {
            Span span = (i % 3 == 0 ? back : front)
                .spanBuilder("step " + i % 17)
                .setParent(within(i % 2 == 1 ? last : root))
                .setSpanKind(SpanKind.values()[i % 5])
                .setStartTimestamp(start + 1000 + i * 999L, NS)
                .setAttribute("i", i).setAttribute("half", i / 2.0)
                .setAttribute("name", "n" + i)
                .setAttribute("odd", i % 2 == 1)
                .setAttribute("pad", "p".repeat(i % 8 * 1000)).startSpan();
            span.end(start + (1 + i % 7) * SECOND + i * 7919L % SECOND, NS);
            if (i % 2 == 1) {
                last = span;
            }
        }
        root.end(start + 11 * SECOND - 1, NS);
    }

    /** A chain, children ending first. */
    private void deep() {
        Deque<Span> spans = new ArrayDeque<>();
        Context inner = Context.root();
        for (int level = 0; level < DEEP_SPANS; level++) {
            Span span = back.spanBuilder("level " + level).setParent(inner)
                .setStartTimestamp(start + level * 1_000_000L, NS)
                .startSpan();
            spans.push(span);
            inner = within(span);
        }
        for (int level = DEEP_SPANS - 1; level >= 0; level--) {
            spans.pop().end(start + (2 * DEEP_SPANS - level) * 1_000_000L,
                NS);
        }
    }

    /** Traces of their own: no, tiny and long durations. */
    private void small() {
        long[] durations = {0, 1, 999, 1000, 1001, 60 * SECOND,
            36 * 3600 * SECOND + 123456789};
        for (int i = 0; i < SMALL_TRACES; i++) {
            long duration = durations[i % durations.length];
            long at = start - duration + i;
            Span root = plain.spanBuilder("small").setNoParent()
                .setStartTimestamp(at, NS).startSpan();
            back.spanBuilder("leaf").setParent(within(root))
                .setStartTimestamp(at, NS).startSpan()
                .end(at + duration, NS);
            root.end(at + duration, NS);
        }
    }

    private static SdkTracerProvider provider(Attributes attributes,
        IdGenerator ids, InMemorySpanExporter memory, SpanExporter exporter) {
        return SdkTracerProvider.builder()
            .setResource(Resource.create(attributes,
                "https://opentelemetry.io/schemas/1.37.0"))
            .setIdGenerator(ids)
            .addSpanProcessor(SimpleSpanProcessor.create(memory))
            .addSpanProcessor(BatchSpanProcessor.builder(exporter)
                .setMaxQueueSize(8192).setMaxExportBatchSize(256).build())
            .build();
    }

    public static void main(String[] args) throws IOException {
        if (args.length != 6) {
            System.err.println("usage: Driver TARGET proto|grpc none|gzip "
                + "SEED START OUT");
            System.exit(2);
        }
        String seed = args[3];
        InMemorySpanExporter memory = InMemorySpanExporter.create();
        FailureSeen exporter = new FailureSeen(
            newExporter(args[0], args[1], args[2]));
        Ids ids = new Ids(seed);
        // The SDK wants ASCII for the keys of a resource.
        SdkTracerProvider shop = provider(EVERY_VALUE.toBuilder()
            .removeIf(key -> key.getKey().contains("\u00fc"))
            .put("service.name", "java-shop-" + seed)
            .put("service.version", "1.2.3").build(), ids, memory, exporter);
        SdkTracerProvider store = provider(Attributes.builder()
            .put("service.name",
                "java-lager-\u00fc\ud83d\udce6-" + seed).build(),
            ids, memory, exporter);
        Driver driver = new Driver(seed, Long.parseLong(args[4]), shop,
            store);

        driver.everything();
        driver.many();
        driver.deep();
        driver.small();
        try (Writer out = Files.newBufferedWriter(Path.of(args[5]),
            StandardCharsets.UTF_8)) {
            for (SpanData span : memory.getFinishedSpanItems()) {
                out.write(Truth.line(span));
            }
        }
        for (SdkTracerProvider made : List.of(shop, store)) {
            made.forceFlush().join(FLUSH_SECONDS, TimeUnit.SECONDS);
        }
        for (SdkTracerProvider made : List.of(shop, store)) {
            made.shutdown().join(FLUSH_SECONDS, TimeUnit.SECONDS);
        }
        System.exit(exporter.failures.get() == 0 ? 0 : 1);
    }
}
