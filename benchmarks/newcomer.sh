#!/usr/bin/env bash
# A newcomer's path, timed: from a clone to the first figure, in a bare environment with an empty compilation cache.
#     benchmarks/newcomer.sh [PYTHON]        # prints the table of docs/quickstart.md
set -euo pipefail
python=$(command -v "${1:-python3}")
repository=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export BAYESCALE_CACHE=$folder/cache TIMEFORMAT=%R

step() { # what it is, the command
    local seconds
    seconds=$( { time eval "$2" >>"$folder/log" 2>&1; } 2>&1) || { cat "$folder/log" >&2; exit 1; }
    printf '| %s | `%s` | %.1f |\n' "$1" "${2//"$python"/python3}" "$seconds"
}

printf '| step | command | seconds |\n|---|---|--:|\n'
git clone -q "$repository" bayescale
cd bayescale
step "environment" "$python -m venv .venv"
step "installation" ".venv/bin/pip install '.[plot]'"
step "first fit, compiling" ".venv/bin/bayescale fit palm2 -o palm2.nc"
step "first figure" ".venv/bin/bayescale plot isoflop palm2.nc -o isoflop.png"
step "a second fit" ".venv/bin/bayescale fit palm2 -o palm2.nc"
step "a plan" ".venv/bin/bayescale allocate palm2.nc --C 1e23"
step "a report" ".venv/bin/bayescale report palm2.nc -o palm2.html"
printf '\n%s, %s cores, load %s at the end\n' "$("$python" --version)" "$(nproc)" "$(cut -d' ' -f1 /proc/loadavg)"
