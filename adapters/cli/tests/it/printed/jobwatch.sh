#!/bin/sh
# What stands for `jobwatch` in the commands of the documentation: the program itself, with time sped up and every exit status
# noted. A server, which runs until somebody stops it, is stopped when it has done its work.

command=${1-}
[ $# -eq 0 ] || shift
given=" $* "
has() {
    case "$given" in *" $1 "*) true ;; *) false ;; esac
}
value() {
    printf '%s\n' "$given" | sed -n "s/.* $1 \([^ ]*\) .*/\1/p"
}

case "$command" in
wait | worker) has --min-delay || set -- --min-delay 20ms --max-delay 200ms "$@" ;;
submit) ! has --wait || has --min-delay || set -- --min-delay 20ms --max-delay 200ms "$@" ;;
demo) has --speed || set -- --speed 50 "$@" ;;
simulate) has --listen || set -- --listen 127.0.0.1:0 "$@" ;;
esac
[ -z "$command" ] || set -- "$command" "$@"

is_server() {
    case "$command" in
    simulate) ! has --help && ! has -h ;;
    worker) ! has --help && ! has -h && ! has --once && ! has --drain ;;
    *) false ;;
    esac
}

has_worked() {
    if [ "$command" = worker ]; then
        "$JOBWATCH" queue --queue "$(value --queue)" --json | grep -q '"waiting":0,"running":0'
        return
    fi
    url=$(sed -n 's/^listening on //p' "$served")
    [ -n "$url" ] && { has --api || "$JOBWATCH" submit --api tracker --base-url "$url" >/dev/null; }
}

if is_server; then
    served=$NOTES/served.$$
    "$JOBWATCH" "$@" >"$served" &
    server=$!
    until has_worked; do
        kill -0 "$server" || break # it has died
        sleep 0.05
    done
    kill -TERM "$server"
    wait "$server"
    status=$?
    cat "$served"
    # A worker that is stopped says so.
    [ "$status" != 143 ] || status=0
else
    "$JOBWATCH" "$@"
    status=$?
fi
printf '%s\t%s\n' "$status" "$*" >>"$NOTES/statuses"
exit "$status"
