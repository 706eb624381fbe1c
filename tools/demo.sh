#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# make demo: serves on a scratch directory, sends some traces, shows what one
# can see, then serves until Ctrl-C.  ONCE=1: ends by itself instead.
# Whatever happens, the server is stopped and the directory removed.

spoor=${SPOOR_BIN:-objs/spoor}
spoorctl=${SPOORCTL_BIN:-objs/spoorctl}
traces=${DEMO_TRACES:-200}
# The port that clients use by default, when nobody has it.
port=${DEMO_PORT:-10428}

pid=
dir=
# The screen: bold titles on a terminal only.
bold= plain=
if [ -t 1 ]; then
    bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi

title() {
    printf '\n%s%s%s\n' "$bold" "$1" "$plain"
}

clean_up() {
    trap '' INT TERM HUP
    if [ -n "$pid" ]; then
        kill -TERM "$pid" 2> /dev/null
        wait "$pid" 2> /dev/null
    fi
    [ -n "$dir" ] && rm -rf "$dir"
    pid= dir=
}

die() {
    echo "demo: $1" >&2
    [ -f "$dir/log" ] && tail -n 20 "$dir/log" >&2
    exit 1
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

dir=$(mktemp -d "${TMPDIR:-/tmp}/spoor-demo-XXXXXX") || exit 1

# The port wanted, or any free one.
port=$(perl -MIO::Socket::INET -e '
    for my $port (@ARGV, 0) {
        my $s = IO::Socket::INET->new(Listen => 1, Proto => "tcp",
            LocalAddr => "127.0.0.1", LocalPort => $port, ReuseAddr => 1);
        print($s->sockport), exit if $s;
    }' "$port")
[ -n "$port" ] || die "no free port"
url=http://127.0.0.1:$port

cat > "$dir/spoor.yaml" <<END
http:
  listen: "127.0.0.1:$port"
storage:
  path: "$dir/data"
workers: 2
END

title "Starting the server on $url, data in $dir"
# In a session of its own, so that Ctrl-C reaches this script only.
setsid "$spoor" -c "$dir/spoor.yaml" > "$dir/log" 2>&1 &
pid=$!

tries=0
until curl -sf -o /dev/null --noproxy '*' "$url/health"; do
    kill -0 "$pid" 2> /dev/null || die "the server ended:"
    tries=$((tries + 1))
    [ $tries -lt 150 ] || die "the server is not ready after 15 s:"
    sleep 0.1
done

title "Sending $traces traces of a web shop"
echo "\$ spoorctl gen --url $url --traces $traces --seed 7"
"$spoorctl" gen --url "$url" --traces "$traces" --seed 7 ||
    die "spoorctl gen failed:"

title "Services"
echo "\$ spoorctl services --url $url"
"$spoorctl" services --url "$url" > "$dir/services" ||
    die "spoorctl services failed:"
cat "$dir/services"
service=$("$spoorctl" services --url "$url" |
    awk '/frontend/ { print $1; found = 1; exit }
         NR == 1 { first = $1 }
         END { if (!found) print first }')
[ -n "$service" ] || die "no services:"

title "Newest traces of $service"
echo "\$ spoorctl search --url $url --service $service --limit 5"
"$spoorctl" search --url "$url" --service "$service" --limit 5 ||
    die "spoorctl search failed:"

# The one with the most spans: "ID ... N spans ...".
id=$("$spoorctl" search --url "$url" --service "$service" --limit 20 |
    awk '{
        for (i = 2; i <= NF; i++)
            if ($i == "spans" && $(i - 1) + 0 > most) {
                most = $(i - 1) + 0
                id = $1
            }
    } END { print id }')
[ -n "$id" ] || die "the search found no trace:"
title "One trace"
echo "\$ spoorctl trace --url $url $id"
"$spoorctl" trace --url "$url" "$id" || die "spoorctl trace failed:"

title "Use it"
cat <<END
  send spans     OTEL_EXPORTER_OTLP_ENDPOINT=$url
                 OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf (or grpc, http/json)
  OTLP           POST $url/v1/traces
  Jaeger API     $url/select/jaeger/api/services
                 $url/select/jaeger/api/traces?service=$service&limit=5
                 $url/select/jaeger/api/traces/$id
  LogsQL         $url/select/logsql/query?query=*+|+sort+by+(duration+desc)+limit+3
                 $url/select/logsql/query?query=*+|+stats+by+(name)+count(),quantile(0.95,duration)
  metrics        $url/metrics
  client         SPOOR_URL=$url objs/spoorctl help
END

if [ -n "${ONCE:-}" ]; then
    kill -TERM "$pid" 2> /dev/null
    wait "$pid"
    status=$?
    pid=
    [ "$status" -eq 0 ] || die "the server ended with status $status:"
    title "Done (ONCE=1)"
    exit 0
fi

title "Serving until Ctrl-C"
trap 'echo; exit 0' INT
wait "$pid"
die "the server ended:"
