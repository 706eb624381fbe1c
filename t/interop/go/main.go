// SPDX-License-Identifier: BSD-2-Clause
//
// spans TARGET proto|json|grpc none|gzip SEED START OUT: makes spans with the
// OpenTelemetry SDK, exports them to TARGET (a URL, or host:port for gRPC)
// and writes what the SDK itself holds of them to OUT, one JSON object a line
// (t/lib/Test/Interop.pm describes it).  Ids follow from SEED, times from
// START (seconds).
package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

const (
	exportTimeout = 10 * time.Second
	manySpans     = 600 // more than one request of the batch processor
	deepSpans     = 150
	smallTraces   = 20
)

func newExporter(target, transport, compression string) (*otlptrace.Exporter,
	error) {
	if transport == "grpc" {
		options := []otlptracegrpc.Option{
			otlptracegrpc.WithEndpoint(target), otlptracegrpc.WithInsecure(),
			otlptracegrpc.WithTimeout(exportTimeout),
		}
		if compression == "gzip" {
			options = append(options, otlptracegrpc.WithCompressor("gzip"))
		}
		return otlptracegrpc.New(context.Background(), options...)
	}
	options := []otlptracehttp.Option{
		otlptracehttp.WithEndpointURL(target),
		otlptracehttp.WithTimeout(exportTimeout),
	}
	if transport == "json" {
		options = append(options,
			otlptracehttp.WithEncoding(otlptracehttp.EncodingJSON))
	}
	if compression == "gzip" {
		options = append(options,
			otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	}
	return otlptracehttp.New(context.Background(), options...)
}

// failureSeen keeps what the exporter could not deliver.
type failureSeen struct {
	sdk.SpanExporter
	mutex  sync.Mutex
	errors []error
}

func (f *failureSeen) ExportSpans(ctx context.Context,
	spans []sdk.ReadOnlySpan) error {
	err := f.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		f.mutex.Lock()
		f.errors = append(f.errors, err)
		f.mutex.Unlock()
	}
	return err
}

// ids are an xorshift64* sequence, of a state that is never 0.
type ids struct {
	mutex sync.Mutex
	state uint64
}

func newIDs(seed string) *ids {
	state := uint64(14695981039346656037)
	for _, b := range []byte(seed) {
		state = (state ^ uint64(b)) * 1099511628211
	}
	return &ids{state: state | 1}
}

func (g *ids) next(dst []byte) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.state ^= g.state >> 12
	g.state ^= g.state << 25
	g.state ^= g.state >> 27
	v := g.state * 2685821657736338717
	for i := range dst {
		dst[i] = byte(v >> (8 * i))
	}
}

func (g *ids) NewIDs(context.Context) (trace.TraceID, trace.SpanID) {
	var t trace.TraceID
	var s trace.SpanID

	g.next(t[:8])
	g.next(t[8:])
	if t[15]%4 == 0 {
		clear(t[:8]) // ids of old tracers have 64 bits
	}
	g.next(s[:])
	return t, s
}

func (g *ids) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	var s trace.SpanID

	g.next(s[:])
	return s
}

// --- spans -------------------------------------------------------------------

type maker struct {
	seed                       string
	start                      time.Time
	front, back, plain, scoped trace.Tracer
}

var everyValue = []attribute.KeyValue{
	attribute.String("a.text", "text"),
	attribute.String("a.empty", ""),
	attribute.String("a.unicode", "Gr\u00fc\u00dfe \u4f60\u597d \U0001f642"),
	attribute.String("a.quotes", "\"\\\n\t\u0001</script>"),
	attribute.String("a.\u00fc key", "key"),
	attribute.Int("a.int", 42),
	attribute.Int("a.zero", 0),
	attribute.Int("a.negative", -7),
	attribute.Int64("a.exact", 1<<53-1),
	attribute.Int64("a.inexact", 1<<53+1),
	attribute.Int64("a.max", math.MaxInt64),
	attribute.Int64("a.min", math.MinInt64),
	attribute.Float64("a.double", 0.1),
	attribute.Float64("a.whole", 3),
	attribute.Float64("a.no", 0),
	attribute.Float64("a.minus", math.Copysign(0, -1)),
	attribute.Float64("a.third", -1.0/3),
	attribute.Float64("a.tiny", math.SmallestNonzeroFloat64),
	attribute.Float64("a.huge", math.MaxFloat64),
	attribute.Float64("a.nan", math.NaN()),
	attribute.Float64("a.inf", math.Inf(1)),
	attribute.Float64("a.-inf", math.Inf(-1)),
	attribute.Bool("a.true", true),
	attribute.Bool("a.false", false),
	attribute.StringSlice("a.texts", []string{"x", "", "\u00e4\"\n"}),
	attribute.Int64Slice("a.ints",
		[]int64{1, -2, math.MaxInt64, math.MinInt64}),
	attribute.Float64Slice("a.doubles", []float64{0.5, -1.25, 1e21, 5e-324}),
	attribute.BoolSlice("a.bools", []bool{true, false}),
	attribute.StringSlice("a.none", []string{}),
	attribute.ByteSlice("a.bytes", []byte{0, 1, 0xfe, 0xff}),
	attribute.Slice("a.mixed", attribute.StringValue("x"),
		attribute.Int64Value(-1), attribute.BoolValue(true),
		attribute.Float64Value(0.5),
		attribute.SliceValue(attribute.StringValue("deep")),
		attribute.MapValue(attribute.Int("n", 1))),
	attribute.Map("a.map", attribute.String("text", "t"),
		attribute.Int("int", 7),
		attribute.Map("inner", attribute.Bool("yes", true))),
}

func spanContext(traceID, spanID string, flags trace.TraceFlags,
	state string) trace.SpanContext {
	t, err := trace.TraceIDFromHex(traceID)
	if err != nil {
		panic(err)
	}
	s, err := trace.SpanIDFromHex(spanID)
	if err != nil {
		panic(err)
	}
	ts, err := trace.ParseTraceState(state)
	if err != nil {
		panic(err)
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: t, SpanID: s,
		TraceFlags: flags, TraceState: ts, Remote: true})
}

// Every type of value, every field.
func (m *maker) everything() {
	var callerID trace.TraceID
	newIDs(m.seed + "caller").next(callerID[8:])
	caller := spanContext(callerID.String(), "b7ad6b7169203331",
		trace.FlagsSampled, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
	at := m.start.Add(123456789)
	ctx, root := m.front.Start(
		trace.ContextWithRemoteSpanContext(context.Background(), caller),
		"GET /warenkorb/{id}", trace.WithSpanKind(trace.SpanKindServer),
		trace.WithTimestamp(at), trace.WithAttributes(everyValue...),
		trace.WithAttributes(
			attribute.String("a.long", strings.Repeat("l", 20000))),
		trace.WithLinks(
			trace.Link{
				SpanContext: spanContext("ffffffffffffffffffffffffffffffff",
					"ffffffffffffffff", 0, "k=v"),
				Attributes: []attribute.KeyValue{
					attribute.String("link.why", "batch"),
					attribute.Int("link.n", 3),
				},
			},
			trace.Link{SpanContext: spanContext(
				"00000000000000000000000000000abc", "0000000000000def",
				trace.FlagsSampled, "")},
			trace.Link{
				SpanContext: spanContext("11111111111111111111111111111111",
					"2222222222222222", trace.FlagsSampled, ""),
				Attributes: []attribute.KeyValue{attribute.String(
					"opentracing.ref_type", "child_of")},
			}))
	root.AddEvent("cache miss", trace.WithTimestamp(at.Add(1500)),
		trace.WithAttributes(everyValue...))
	root.AddEvent("without attributes", trace.WithTimestamp(at.Add(999)))
	root.AddEvent("", trace.WithTimestamp(at.Add(2000)))
	root.RecordError(errors.New("no such \u201ecart\u201c"))
	callCtx, call := m.front.Start(ctx, "POST",
		trace.WithSpanKind(trace.SpanKindClient))
	servedCtx, served := m.back.Start(callCtx, "INSERT \u00a7",
		trace.WithSpanKind(trace.SpanKindServer))
	_, query := m.scoped.Start(servedCtx, "")
	query.SetStatus(codes.Error, "dead\nlock")
	query.End()
	served.SetStatus(codes.Error, "")
	served.End()
	call.SetStatus(codes.Ok, "")
	call.SetName("POST /lager")
	call.End()
	_, sent := m.plain.Start(ctx, "send",
		trace.WithSpanKind(trace.SpanKindProducer))
	sent.End()
	_, received := m.plain.Start(context.Background(), "receive",
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithLinks(trace.Link{SpanContext: sent.SpanContext()}))
	received.End()
	root.End()
}

// Several requests, larger than the windows of HTTP/2; a chain and a fan in
// one, times with all digits.
func (m *maker) many() {
	ctx, root := m.front.Start(context.Background(), "many",
		trace.WithTimestamp(m.start.Add(1)))
	rootCtx := ctx
	for i := 0; i < manySpans; i++ {
		parent, tracer := rootCtx, m.back
		if i%2 == 1 {
			parent = ctx
		}
		if i%3 != 0 {
			tracer = m.front
		}
		inner, span := tracer.Start(parent, fmt.Sprintf("step %d", i%17),
			trace.WithSpanKind(trace.SpanKind(i%6)),
			trace.WithTimestamp(m.start.Add(time.Duration(1000+i*999))),
			trace.WithAttributes(attribute.Int("i", i),
				attribute.Float64("half", float64(i)/2),
				attribute.String("name", fmt.Sprintf("n%d", i)),
				attribute.Bool("odd", i%2 == 1),
				attribute.String("pad", strings.Repeat("p", i%8*1000))))
		span.End(trace.WithTimestamp(m.start.Add(time.Duration(1+i%7)*
			time.Second + time.Duration(i*7919%1000000000))))
		if i%2 == 1 {
			ctx = inner
		}
	}
	root.End(trace.WithTimestamp(m.start.Add(11*time.Second - 1)))
}

// A chain, children ending first.
func (m *maker) deep(ctx context.Context, level int) {
	at := m.start.Add(time.Duration(level) * time.Millisecond)
	inner, span := m.back.Start(ctx, fmt.Sprintf("level %d", level),
		trace.WithTimestamp(at))
	if level+1 < deepSpans {
		m.deep(inner, level+1)
	}
	span.End(trace.WithTimestamp(at.Add(
		time.Duration(2*(deepSpans-level)) * time.Millisecond)))
}

// Traces of their own: no, tiny and long durations.
func (m *maker) small() {
	durations := []time.Duration{0, 1, 999, 1000, 1001, time.Minute,
		36*time.Hour + 123456789}
	for i := 0; i < smallTraces; i++ {
		duration := durations[i%len(durations)]
		at := m.start.Add(-duration).Add(time.Duration(i))
		ctx, root := m.plain.Start(context.Background(), "small",
			trace.WithTimestamp(at))
		_, leaf := m.scoped.Start(ctx, "leaf", trace.WithTimestamp(at))
		leaf.End(trace.WithTimestamp(at.Add(duration)))
		root.End(trace.WithTimestamp(at.Add(duration)))
	}
}

func run(target, transport, compression, seed, start, out string) error {
	seconds, err := strconv.ParseInt(start, 10, 64)
	if err != nil {
		return err
	}
	client, err := newExporter(target, transport, compression)
	if err != nil {
		return err
	}
	exporter := &failureSeen{SpanExporter: client}
	memory := tracetest.NewInMemoryExporter()
	generator := newIDs(seed)
	provider := func(attributes ...attribute.KeyValue) *sdk.TracerProvider {
		return sdk.NewTracerProvider(
			sdk.WithSyncer(memory),
			sdk.WithBatcher(exporter, sdk.WithBlocking(),
				sdk.WithMaxExportBatchSize(256)),
			sdk.WithIDGenerator(generator),
			sdk.WithResource(resource.NewWithAttributes(
				"https://opentelemetry.io/schemas/1.37.0", attributes...)))
	}
	shop := provider(append(everyValue,
		attribute.String("service.name", "go-shop-"+seed),
		attribute.String("service.version", "1.2.3"))...)
	store := provider(attribute.String("service.name",
		"go-lager-\u00fc\U0001f4e6-"+seed))
	m := &maker{
		seed: seed, start: time.Unix(seconds, 0),
		front: shop.Tracer("shop.http",
			trace.WithInstrumentationVersion("4.5.6"),
			trace.WithSchemaURL("https://opentelemetry.io/schemas/1.36.0")),
		back:  store.Tracer("lager.db"),
		plain: store.Tracer(""),
		scoped: store.Tracer("lager.scoped",
			trace.WithInstrumentationAttributes(everyValue...)),
	}
	m.everything()
	m.many()
	m.deep(context.Background(), 0)
	m.small()

	truth, err := os.Create(out)
	if err != nil {
		return err
	}
	for _, span := range memory.GetSpans().Snapshots() {
		if err := writeSpan(truth, span); err != nil {
			return err
		}
	}
	if err := truth.Close(); err != nil {
		return err
	}
	ctx := context.Background()
	return errors.Join(shop.ForceFlush(ctx), store.ForceFlush(ctx),
		shop.Shutdown(ctx), store.Shutdown(ctx),
		errors.Join(exporter.errors...))
}

func main() {
	if len(os.Args) != 7 {
		fmt.Fprintln(os.Stderr,
			"usage: spans TARGET proto|json|grpc none|gzip SEED START OUT")
		os.Exit(2)
	}
	a := os.Args[1:]
	if err := run(a[0], a[1], a[2], a[3], a[4], a[5]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
