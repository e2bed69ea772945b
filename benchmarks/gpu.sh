#!/usr/bin/env bash
# What an NVIDIA GPU has to say about the paper's recipe, unattended, in calls of under 10 minutes each.
set -euo pipefail

explain() {
    cat <<'TEXT'
Usage: OUT=DIR benchmarks/gpu.sh ladder | slice | all      (in the root of the repository)

  ladder   measures variants of a step, equivalence gates, stacks and processes  -> $OUT/ladder.json
  slice    runs one seed of the recipe for some minutes                          -> $OUT/seed-$SEED/
  all      the ladder, then slices until nothing is left

Exit codes: 0 complete, 75 more to do (give the same command again), 3 complete but for cells that failed.
`all` needs as long as it takes; where a call is cut off after 10 minutes use `ladder` and `slice`, each
repeated while it ends with 75. A call that is killed loses at most a minute of training.

Variables (default):
  OUT                  folder for everything that is written; required
  STATE ()             what an earlier call left: its $OUT, or its $OUT/state.tar; unpacked into $OUT first
  RECIPE (paper)       a preset's name
  SEED (42)            of `slice`
  MINUTES (8.5)        of the training in one `slice`; starting and the last evaluation take a minute more
  PRECISION (float32)  or bfloat16;  COMPILE (): anything switches torch.compile on;  STACK (1): cells at once
  DEVICE (auto)        cuda, cpu
  LADDER_SECONDS (540) budget of one `ladder`;  LADDER_OPTIONS (): more options of benchmarks.gpu_ladder
  PYTHON (python3)     3.11 or newer with torch 2.11 or newer
  RCSWEEP_DATA (data)  folder of cifar10_train.tfrecord and cifar10_test.tfrecord
  RCSWEEP_DATA_PARTS () folder of their pieces, made by `split FILE FILE.part-`; joined into $RCSWEEP_DATA
  WHEELS (wheels)      folder of wheels, installed without a network where it exists

Needed besides torch and numpy: crc32c, safetensors, and to read TFRecords pillow, tfrecord and its protobuf.
torch.compile needs a C compiler. Neither Ray nor pandas nor torchvision is needed; without pandas the published
numbers are left out of against_published.md. Carry the wheels along, made for the machine's Python:
  pip download --python-version 3.12 --only-binary :all: --dest wheels crc32c safetensors pillow protobuf
  pip wheel --no-deps --wheel-dir wheels tfrecord
TEXT
}

complete=0 some_failed=3 more_to_do=75
PYTHON=${PYTHON:-python3} RECIPE=${RECIPE:-paper} SEED=${SEED:-42} DEVICE=${DEVICE:-auto}
WHEELS=${WHEELS:-wheels}

prepare() {
    if [[ -z ${OUT:-} ]]; then
        echo "OUT is not set: name the folder for the results; -h explains" >&2
        exit 2
    fi
    mkdir -p "$OUT"
    if [[ -n ${STATE:-} && -d $STATE ]]; then
        cp -R "$STATE/." "$OUT/"
        chmod -R u+w "$OUT"
    elif [[ -n ${STATE:-} ]]; then
        tar -xf "$STATE" -C "$OUT"
    fi
    if [[ -d $WHEELS ]]; then
        "$PYTHON" -m pip install --quiet --no-index --find-links "$WHEELS" crc32c safetensors pillow protobuf
        # Its other requirement is numpy, which torch's installation has.
        "$PYTHON" -m pip install --quiet --no-index --no-deps --find-links "$WHEELS" tfrecord
    fi
    "$PYTHON" -c 'import crc32c, google.protobuf, numpy, PIL, safetensors, tfrecord, torch' || {
        echo "A package is missing: put its wheel into $WHEELS; -h explains" >&2
        exit 2
    }
    if [[ -n ${RCSWEEP_DATA_PARTS:-} ]]; then
        join_data
    fi
}

join_data() {
    export RCSWEEP_DATA=${RCSWEEP_DATA:-data}
    mkdir -p "$RCSWEEP_DATA"
    local first file
    for first in "$RCSWEEP_DATA_PARTS"/*.part-aa; do
        file=$RCSWEEP_DATA/$(basename "${first%.part-aa}")
        if [[ ! -e $file ]]; then
            cat "${first%aa}"* >"$file.joining"
            mv "$file.joining" "$file"
        fi
    done
}

# What a later call needs: networks of finished prunings are not part of it. Written beside and renamed, so that
# a call that is cut off leaves the one before.
pack_state() {
    tar -cf "$OUT/state.tar.new" -C "$OUT" --exclude='state.tar*' --exclude='prune-*/final' .
    mv "$OUT/state.tar.new" "$OUT/state.tar"
}

ladder() {
    local code=0 options=()
    read -r -a options <<<"${LADDER_OPTIONS:-}"
    "$PYTHON" -m benchmarks.gpu_ladder --out "$OUT/ladder.json" --recipe "$RECIPE" --device "$DEVICE" \
        --seconds-budget "${LADDER_SECONDS:-540}" "${options[@]}" || code=$?
    pack_state
    return "$code"
}

slice() {
    local code=0
    "$PYTHON" -m benchmarks.paper_slices --out "$OUT/seed-$SEED" --recipe "$RECIPE" --seed "$SEED" \
        --minutes "${MINUTES:-8.5}" --precision "${PRECISION:-float32}" --stack "${STACK:-1}" \
        --device "$DEVICE" ${COMPILE:+--compile} || code=$?
    pack_state
    return "$code"
}

repeat() {
    local code=$more_to_do
    while ((code == more_to_do)); do
        code=0
        "$1" || code=$?
    done
    return "$code"
}

case ${1:-} in
    -h | --help) explain ;;
    ladder | slice)
        prepare
        "$1"
        ;;
    all)
        prepare
        repeat ladder
        code=$complete
        repeat slice || code=$?
        if ((code == some_failed)); then
            echo "some cells failed; see $OUT/seed-$SEED/against_published.md" >&2
        fi
        exit "$code"
        ;;
    *)
        explain >&2
        exit 2
        ;;
esac
