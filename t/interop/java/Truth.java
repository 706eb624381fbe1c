// SPDX-License-Identifier: BSD-2-Clause

import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.common.KeyValue;
import io.opentelemetry.api.common.Value;
import io.opentelemetry.sdk.trace.data.EventData;
import io.opentelemetry.sdk.trace.data.LinkData;
import io.opentelemetry.sdk.trace.data.SpanData;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What the SDK holds of a span, as a line of JSON. */
final class Truth {
    private Truth() {}

    static String line(SpanData span) {
        Map<String, Object> o = new LinkedHashMap<>();
        o.put("traceId", span.getTraceId());
        o.put("spanId", span.getSpanId());
        o.put("parentId", span.getParentSpanContext().isValid()
            ? span.getParentSpanId() : "");
        List<String> state = new ArrayList<>();
        span.getSpanContext().getTraceState().forEach(
            (key, value) -> state.add(key + "=" + value));
        o.put("traceState", String.join(",", state));
        o.put("flags",
            (int) span.getSpanContext().getTraceFlags().asByte() & 0xff);
        o.put("name", span.getName());
        o.put("kind", span.getKind().name().toLowerCase(Locale.ROOT));
        o.put("startNs", Long.toString(span.getStartEpochNanos()));
        o.put("endNs", Long.toString(span.getEndEpochNanos()));
        o.put("attributes", typedAll(span.getAttributes()));
        o.put("events", span.getEvents().stream().map(Truth::event)
            .toArray());
        o.put("links", span.getLinks().stream().map(Truth::link).toArray());
        o.put("status", span.getStatus().getStatusCode().name());
        o.put("message", span.getStatus().getDescription());
        o.put("resource", typedAll(span.getResource().getAttributes()));
        o.put("scope", span.getInstrumentationScopeInfo().getName());
        String version = span.getInstrumentationScopeInfo().getVersion();
        o.put("scopeVersion", version == null ? "" : version);
        o.put("scopeAttributes",
            typedAll(span.getInstrumentationScopeInfo().getAttributes()));
        StringBuilder json = new StringBuilder();
        write(json, o);
        return json.append('\n').toString();
    }

    private static Object event(EventData event) {
        return Map.of("name", event.getName(),
            "timeNs", Long.toString(event.getEpochNanos()),
            "attributes", typedAll(event.getAttributes()));
    }

    private static Object link(LinkData link) {
        return Map.of("traceId", link.getSpanContext().getTraceId(),
            "spanId", link.getSpanContext().getSpanId(),
            "attributes", typedAll(link.getAttributes()));
    }

    private static Map<String, Object> typedAll(Attributes attributes) {
        Map<String, Object> all = new LinkedHashMap<>();
        attributes.forEach((AttributeKey<?> key, Object value) ->
            all.put(key.getKey(), typed(value)));
        return all;
    }

    private static Map<String, Object> typed(Object value) {
        if (value instanceof Value) {
            return typed(((Value<?>) value).getValue());
        }
        if (value instanceof String) {
            return pair("string", value);
        }
        if (value instanceof Boolean) {
            return pair("bool", value);
        }
        if (value instanceof Long) {
            return pair("int64", value.toString());
        }
        if (value instanceof Double) {
            return pair("float64", value.toString());
        }
        if (value instanceof ByteBuffer) {
            ByteBuffer buffer = ((ByteBuffer) value).duplicate();
            byte[] bytes = new byte[buffer.remaining()];
            buffer.get(bytes);
            return pair("bytes", Base64.getEncoder().encodeToString(bytes));
        }
        if (value instanceof List) {
            return typedList((List<?>) value);
        }
        return pair("empty", null);
    }

    /** A list of values or the pairs of a map; an empty one is a list. */
    private static Map<String, Object> typedList(List<?> values) {
        if (values.isEmpty() || !(values.get(0) instanceof KeyValue)) {
            return pair("array", values.stream().map(Truth::typed).toArray());
        }
        return pair("kvlist", values.stream().map(value -> new Object[] {
            ((KeyValue) value).getKey(), typed(((KeyValue) value).getValue())
        }).toArray());
    }

    private static Map<String, Object> pair(String type, Object value) {
        Map<String, Object> o = new LinkedHashMap<>();
        o.put("type", type);
        o.put("value", value);
        return o;
    }

    // --- JSON ---

    private static void write(StringBuilder json, Object value) {
        if (value instanceof Map) {
            String comma = "{";
            if (((Map<?, ?>) value).isEmpty()) {
                json.append('{');
            }
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                json.append(comma);
                comma = ",";
                write(json, entry.getKey());
                json.append(':');
                write(json, entry.getValue());
            }
            json.append('}');
        } else if (value instanceof Object[]) {
            json.append('[');
            for (int i = 0; i < ((Object[]) value).length; i++) {
                json.append(i == 0 ? "" : ",");
                write(json, ((Object[]) value)[i]);
            }
            json.append(']');
        } else if (value instanceof String) {
            writeText(json, (String) value);
        } else {
            json.append(value);
        }
    }

    private static void writeText(StringBuilder json, String text) {
        json.append('"');
        for (char c : text.toCharArray()) {
            if (c < ' ' || c > '~' || c == '"' || c == '\\') {
                json.append(String.format("\\u%04x", (int) c));
            } else {
                json.append(c);
            }
        }
        json.append('"');
    }
}
