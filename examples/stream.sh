#!/bin/sh
# Follow a stream with curl, and go on after the last whole event whenever the connection is cut.
#
#   sh examples/stream.sh 'http://127.0.0.1:8600/api/flow/stream?chips=sweeps&snapshot=0' [LAST_EVENT_ID]
#
# Prints the data of each event, a line of JSON. With tokens: PHENIX_TOKEN=phx_… sh examples/stream.sh …
url=$1
last=${2:-}
state=$(mktemp) || exit 1
trap 'rm -f "$state"' EXIT
trap 'exit 130' INT TERM

while :; do
    set -- --silent --no-buffer --header 'Accept: text/event-stream'
    [ -n "$last" ] && set -- "$@" --header "Last-Event-ID: $last"
    [ -n "$PHENIX_TOKEN" ] && set -- "$@" --header "Authorization: Bearer $PHENIX_TOKEN"
    curl --fail "$@" "$url" | {
        id='' data=''
        while IFS= read -r line; do
            case $line in
                'id: '*) id=${line#id: } ;;
                'data: '*) data=${line#data: } ;;
                '') # an event is whole at its empty line, and counts only then
                    [ -n "$data" ] && printf '%s\n' "$data" && last=$id
                    data='' ;;
            esac
        done
        printf '%s' "$last" > "$state"
    }
    last=$(cat "$state")
    sleep 1
done
