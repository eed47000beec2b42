#!/bin/sh
# Pushes JSON to every browser that is connected to udpush: one UDP datagram.
#
#   scripts/push.sh '{"msg":"hi"}'
#   echo '{"msg":"hi"}' | scripts/push.sh
#
# Success is silent, exit status 0. A refusal is printed, exit status 1. Wrong usage: 2.
# UDPUSH_PUBLISH names another server than 127.0.0.1:6553; of several addresses the first is taken.
set -eu

fail() {
    echo "push.sh: $1" >&2
    exit "${2:-1}"
}

usage="usage: push.sh JSON    (or JSON on standard input)"
[ $# -le 1 ] || fail "$usage" 2
[ $# -eq 1 ] || [ ! -t 0 ] || fail "$usage" 2

server=${UDPUSH_PUBLISH:-127.0.0.1:6553}
server=${server%%,*}
port=${server##*:}
host=${server%:*}
host=${host#[}
host=${host%]}

# In a file, because nc sends one datagram for each read(2): out of a pipe, a document that its
# writer wrote in parts would arrive in parts.
json=$(mktemp)
trap 'rm -f "$json"' EXIT
trap 'exit 1' HUP INT TERM
if [ $# -eq 1 ]; then
    printf '%s' "$1" >"$json"
else
    cat >"$json"
fi
size=$(($(wc -c <"$json")))
[ "$size" -gt 0 ] || fail "$usage" 2

# What goes into one datagram: of other programs called nc than OpenBSD's, some send 1,024 bytes.
largest=65507
if command -v nc >/dev/null; then
    with=nc
    case $(nc -h 2>&1) in
    *OpenBSD*) largest=16384 ;;
    *) largest=1024 ;;
    esac
elif command -v bash >/dev/null; then
    with=bash
else
    fail "it needs nc (Debian's package netcat-openbsd) or bash"
fi
[ "$size" -le 65507 ] || fail "$size bytes are too many: a datagram holds at most 65507"
[ "$size" -le "$largest" ] ||
    fail "$size bytes are too many: $with sends at most $largest in one datagram, scripts/push.php 65507"

# Both wait a second for a refusal. Without -w1 (or -q0, which would not wait for it) `nc -u` never
# ends, and cron jobs pile up.
if [ "$with" = nc ]; then
    reply=$(nc -u -w1 "$host" "$port" <"$json") || fail "nc cannot send to $server"
else
    # shellcheck disable=SC2016 # bash is to expand these. 124: nothing came within the second.
    reply=$(bash -c 'exec 3<>"/dev/udp/$1/$2" && cat "$3" >&3 && { timeout 1 head -n 1 <&3 || [ $? = 124 ]; }' \
        push.sh "$host" "$port" "$json") || fail "bash cannot send to $server"
fi
if [ -n "$reply" ]; then
    echo "$reply" >&2
    exit 1
fi
