#!/usr/bin/env bash
# Makes a host ready to be a node of a Ray cluster that runs rcsweep. Again on the same host it changes nothing.
#
#   deploy/setup-node.sh CODE_DIR [PACKAGE ...]
#
# CODE_DIR has pyproject.toml, constraints.txt and the packages; it is installed in place, so that files which are copied over
# it later count at once. PACKAGEs are installed beside it (boto3 on the head of an AWS cluster), all in the versions of
# constraints.txt.
#
#   PYTHON         interpreter of a new environment, the same minor version on every node (python3)
#   RCSWEEP_VENV   where the environment is (~/rcsweep-venv)
set -euo pipefail

fail() {
    echo "setup-node.sh: $*" >&2
    exit 1
}

code=${1:?usage: setup-node.sh CODE_DIR [PACKAGE ...]}
shift
PYTHON=${PYTHON:-python3}
venv=${RCSWEEP_VENV:-$HOME/rcsweep-venv}
token=$HOME/.ray/auth_token

[[ -f $code/pyproject.toml && -f $code/constraints.txt ]] ||
    fail "$code has no pyproject.toml and constraints.txt; copy the repository there (file_mounts)"
code=$(cd "$code" && pwd)

# Without a token Ray's ports take commands from whoever reaches them (CVE-2023-48022).
[[ -s $token ]] ||
    fail "$token is missing; make one with 'ray get-auth-token --generate' and ship it to every node (file_mounts)"
chmod 600 "$token"

install_venv_module() {
    command -v apt-get >/dev/null ||
        fail "$PYTHON cannot make environments; install Python 3.11 or newer with its venv module, or name one: PYTHON=..."
    local sudo=()
    [[ $(id -u) == 0 ]] || sudo=(sudo)
    "${sudo[@]}" apt-get update -q
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy "${PYTHON##*/}-venv"
}

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || install_venv_module
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$PYTHON is $("$PYTHON" --version 2>&1); rcsweep needs 3.11 or newer: PYTHON=python3.12 setup-node.sh ..."
    rm -rf "$venv"
    "$PYTHON" -m venv "$venv"
fi

# The stamp is written last, so that an installation that was interrupted is done again.
stamp=$venv/.rcsweep-installed
wanted=$(cat "$code/pyproject.toml" "$code/constraints.txt" <(echo "$code $*") | sha256sum)
if [[ $(cat "$stamp" 2>/dev/null) != "$wanted" ]]; then
    rm -f "$stamp"
    (cd "$code" && "$venv/bin/python" -m pip install --quiet -c constraints.txt -e '.[all]' "$@")
    echo "$wanted" >"$stamp"
fi

# Ray starts every process from a shell that has read this file.
for line in "export PATH=$venv/bin:\$PATH" 'export RAY_AUTH_MODE=token'; do
    grep -qxF -- "$line" "$HOME/.bashrc" 2>/dev/null || echo "$line" >>"$HOME/.bashrc"
done
