#!/bin/sh
# Makes src/bindings.rs from wit/app.wit. Needs the generator:
#     cargo install wit-bindgen-cli --version 0.61.1 --no-default-features --features rust
set -eu
cd "$(dirname "$0")/.."

# The parts of wasi:io that the app does not call.
skip="--skip poll"
for name in error.to-debug-string pollable.ready pollable.block \
    input-stream.read input-stream.skip input-stream.blocking-skip input-stream.subscribe \
    output-stream.check-write output-stream.write output-stream.flush \
    output-stream.blocking-flush output-stream.subscribe output-stream.write-zeroes \
    output-stream.blocking-write-zeroes-and-flush output-stream.splice \
    output-stream.blocking-splice; do
    skip="$skip --skip [method]$name"
done

folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
wit-bindgen rust wit --world app --generate-all --runtime-path crate::runtime --format $skip --out-dir "$folder"
{
    echo "// Generated from wit/app.wit by wit/generate.sh, not to be edited. It is kept in the"
    echo "// repository so that the app builds without a network and without a dependency."
    cat "$folder/app.rs"
} > src/bindings.rs
