# SPDX-License-Identifier: BSD-2-Clause
#
# Who may include whom.  The folders of src/ are layers; a file may include
# its own folder and what the table names, and the headers of a third-party
# library have one home.

use strict;
use warnings;

use Test::More;

# "event/task.h" allows one header, "event" all of a folder.
my %may = (
    core => [],
    event => [qw(core)],
    http => [qw(core event)],
    span => [qw(core)],
    otlp => [qw(core event http span)],
    storage => [qw(core span event/task.h event/loop.h event/module.h)],
    query => [qw(core span event/task.h event/team.h event/module.h storage)],
    cluster => [qw(core event http span otlp storage query)],
    api => [qw(core event http span otlp storage query cluster)],
    # "spoorctl check" and "export --data" read a data directory offline,
    # and the queue of a front;
    # text.h reads times as queries write them; the shell completes and
    # explains what the tables of the language have.
    cli => [qw(core span otlp http/client.h storage/store.h
        storage/offline.h cluster/queue.h query/text.h query/parser.h query/pipe_type.h)],
);

# Wires everything together.
my %exempt = ('src/core/main.c' => 1);

# Headers by pattern, and the folders that may include them.
my @homes = (
    [qr{^event2/}, qw(event)],
    [qr{^openssl/}, qw(event)],
    [qr{^crypt\.h}, qw(event)],
    [qr{^sys/epoll\.h}, qw(event)],
    [qr{^nghttp2/}, qw(http)],
    [qr{^(?:yaml|zlib|libdeflate|snappy-c)\.h}, qw(core)],
    [qr{^(?:pcre2|utf8proc)\.h}, qw(query)],
    [qr{^zstd\w*\.h}, qw(core storage)],
    [qr{^ares\w*\.h}, qw(cluster)],
    [qr{^(?:protobuf-c/protobuf-c|plan\.pb-c)\.h$}, qw(cluster)],
    [qr{^protobuf-c/|\.pb-c\.h$}],
);

# Complaints about the includes of one file.
sub complaints {
    my ($file, $text) = @_;
    my ($folder) = $file =~ m{^src/(\w+)/} or return ("$file: no folder");
    my @found;
    my $line = 0;

    for (split /\n/, $text) {
        $line++;
        next unless /^\s*#\s*include\s*([<"])([^>"]+)[>"]/;
        my ($quote, $header) = ($1, $2);
        push @found, map { "$file:$line: $_" }
            $quote eq '"' && $header !~ /\.pb-c\.h$/
            ? own_complaint($folder, $header) : foreign($folder, $header);
    }
    return @found;
}

sub own_complaint {
    my ($folder, $header) = @_;
    my ($to) = $header =~ m{^(\w+)/[\w.]+$}
        or return "\"$header\" is not a path from src/";

    return if $to eq $folder;
    return if grep { $_ eq $to || $_ eq $header } @{$may{$folder}};
    return "$folder may not include $header";
}

sub foreign {
    my ($folder, $header) = @_;

    for my $home (@homes) {
        my ($pattern, @folders) = @$home;
        next unless $header =~ $pattern;
        return if grep { $_ eq $folder } @folders;
        return "$header belongs to "
            . (@folders ? join(' and ', map { "$_/" } @folders) : 'tests');
    }
    return;
}

# The check checks itself first.
is_deeply [complaints('src/core/bad.c',
        "#include \"core/base.h\"\n#include \"event/loop.h\"\n")],
    ['src/core/bad.c:2: core may not include event/loop.h'],
    'finds an include of a higher layer';
is_deeply [complaints('src/api/bad.c', "#include <event2/event.h>\n")],
    ['src/api/bad.c:1: event2/event.h belongs to event/'],
    'finds a library outside its home';
is_deeply [complaints('src/otlp/bad.c', "#include \"trace.pb-c.h\"\n")],
    ['src/otlp/bad.c:1: trace.pb-c.h belongs to tests'],
    'finds generated protobuf code in the server';
is_deeply [complaints('src/storage/good.c',
        "#include \"event/task.h\"\n#include <zstd.h>\n")],
    [], 'allows what is allowed';

my @files = sort glob 'src/*/*.[ch]';
my @all;

for my $file (@files) {
    next if $exempt{$file};
    open my $in, '<', $file or die "$file: $!\n";
    local $/;
    push @all, complaints($file, <$in>);
}
diag($_) for @all;
is(scalar @all, 0, @files . ' files keep to their layers');

my @folders = map { m{src/(\w+)} } grep { -d } glob 'src/*';
is_deeply [sort @folders], [sort keys %may], 'every folder has its row';

done_testing;
