// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// typed is a value with its type; numbers are text, lest they lose digits.
type typed struct {
	Type  string `json:"type"`
	Value any    `json:"value"`
}

func list[T any](items []T, one func(T) typed) typed {
	all := make([]typed, len(items))
	for i, item := range items {
		all[i] = one(item)
	}
	return typed{"array", all}
}

func text(v string) typed   { return typed{"string", v} }
func truth(v bool) typed    { return typed{"bool", v} }
func integer(v int64) typed { return typed{"int64", strconv.FormatInt(v, 10)} }

func double(v float64) typed {
	return typed{"float64", strconv.FormatFloat(v, 'g', -1, 64)}
}

func typedValue(v attribute.Value) typed {
	switch v.Type() {
	case attribute.STRING:
		return text(v.AsString())
	case attribute.BOOL:
		return truth(v.AsBool())
	case attribute.INT64:
		return integer(v.AsInt64())
	case attribute.FLOAT64:
		return double(v.AsFloat64())
	case attribute.STRINGSLICE:
		return list(v.AsStringSlice(), text)
	case attribute.BOOLSLICE:
		return list(v.AsBoolSlice(), truth)
	case attribute.INT64SLICE:
		return list(v.AsInt64Slice(), integer)
	case attribute.FLOAT64SLICE:
		return list(v.AsFloat64Slice(), double)
	case attribute.SLICE:
		return list(v.AsSlice(), typedValue)
	case attribute.BYTESLICE:
		return typed{"bytes",
			base64.StdEncoding.EncodeToString(v.AsByteSlice())}
	case attribute.MAP:
		pairs := make([][2]any, 0)
		for _, kv := range v.AsMap() {
			pairs = append(pairs, [2]any{string(kv.Key), typedValue(kv.Value)})
		}
		return typed{"kvlist", pairs}
	}
	return typed{"empty", nil}
}

func typedAll(attributes []attribute.KeyValue) map[string]typed {
	all := make(map[string]typed)
	for _, kv := range attributes {
		all[string(kv.Key)] = typedValue(kv.Value)
	}
	return all
}

func ns(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

type object map[string]any

// writeSpan writes what the SDK holds of a span as a line of JSON.
func writeSpan(out io.Writer, span sdk.ReadOnlySpan) error {
	sc, scope := span.SpanContext(), span.InstrumentationScope()
	parent := ""
	if span.Parent().SpanID().IsValid() {
		parent = span.Parent().SpanID().String()
	}
	events := []object{}
	for _, e := range span.Events() {
		events = append(events, object{"name": e.Name, "timeNs": ns(e.Time),
			"attributes": typedAll(e.Attributes)})
	}
	links := []object{}
	for _, l := range span.Links() {
		links = append(links, object{
			"traceId":    l.SpanContext.TraceID().String(),
			"spanId":     l.SpanContext.SpanID().String(),
			"attributes": typedAll(l.Attributes)})
	}
	return json.NewEncoder(out).Encode(object{
		"traceId": sc.TraceID().String(), "spanId": sc.SpanID().String(),
		"parentId": parent, "traceState": sc.TraceState().String(),
		"flags": int(sc.TraceFlags()), "name": span.Name(),
		"kind":    span.SpanKind().String(),
		"startNs": ns(span.StartTime()), "endNs": ns(span.EndTime()),
		"attributes": typedAll(span.Attributes()),
		"events":     events, "links": links,
		"status":          strings.ToUpper(span.Status().Code.String()),
		"message":         span.Status().Description,
		"resource":        typedAll(span.Resource().Attributes()),
		"scope":           scope.Name,
		"scopeVersion":    scope.Version,
		"scopeAttributes": typedAll(scope.Attributes.ToSlice()),
	})
}
