#!/usr/bin/env bash
# Makes the Python environment of the benchmarks' peers (PyTorch, JAX, scikit-learn).
#
#     setup.sh CACHE_DIR
#
# The environment is CACHE_DIR/venv-<stamp of what it is made from>; where it is there
# already, this does nothing. Prints the path of its python, and nothing else, on
# stdout. PYTHON names the python 3.11 to use; gcc, g++ and nm must be on the path
# (for the stand-ins, and for torch.compile later on).
set -euo pipefail

fail() {
    echo "peers: $*" >&2
    exit 1
}

[ $# -eq 1 ] || fail "usage: setup.sh CACHE_DIR"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ "$(uname -sm)" = "Linux x86_64" ] || fail "the pinned wheels are for x86_64 Linux, not $(uname -sm)."
for tool in gcc g++ nm sha256sum flock; do
    command -v "$tool" >/dev/null || fail "$tool is not on the path."
done

python=
for candidate in ${PYTHON:-python3.11 python3}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || fail "no python 3.11 found (set PYTHON to one)."

mkdir -p "$1" || fail "cannot make the folder $1."
cache=$(cd "$1" && pwd)
stamp=$(cat "$here"/requirements.txt "$here"/requirements-cuda.txt "$here"/stand_ins.py "$here"/setup.sh |
    sha256sum | cut -c1-12)
venv=$cache/venv-$stamp

exec 9>"$cache/setup.lock"
flock 9
if [ ! -e "$venv/.done" ]; then
    log=$cache/setup.log
    rm -rf "$venv"
    echo "peers: making $venv (a download of about 0.7 GiB)" >&2
    install() {
        "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --no-deps --no-cache-dir \
            --only-binary :all: -r "$here/$1" >>"$log" 2>&1
    }
    loads() {
        "$venv/bin/python" -c 'import torch; torch.ones(2).sum()' >>"$log" 2>&1
    }
    : >"$log"
    "$python" -m venv "$venv" >>"$log" 2>&1 || fail "cannot make a virtual environment; see $log."
    install requirements.txt || fail "cannot install the packages of requirements.txt; see $log."
    if ! { "$venv/bin/python" "$here/stand_ins.py" >>"$log" 2>&1 && loads; }; then
        echo "peers: torch does not load with the stand-ins; installing the CUDA libraries (about 1.8 GiB)" >&2
        "$venv/bin/python" "$here/stand_ins.py" --remove >>"$log" 2>&1 || true
        install requirements-cuda.txt || fail "cannot install the packages of requirements-cuda.txt; see $log."
        loads || fail "torch does not load; see $log."
    fi
    "$venv/bin/python" -c 'import jax; jax.numpy.ones(2).sum()' >>"$log" 2>&1 ||
        fail "jax does not load; see $log."
    "$venv/bin/python" -c 'import sklearn.neural_network' >>"$log" 2>&1 ||
        fail "scikit-learn does not load; see $log."
    touch "$venv/.done"
fi
echo "$venv/bin/python"
